"""The line over the picture: which camera, when, how fast, how well, what kind of scene."""

from __future__ import annotations

from datetime import datetime, timezone

import numpy as np

from camera_perception.draw.colors import GREEN, LIGHT, NIGHT, SHADOW, VERMILLION, WHITE
from camera_perception.draw.ink import chip, chip_size, stamp, text_size, write
from camera_perception.status import names_of
from camera_perception.types import Perception

EPOCH_LIKE_NS = 10**17  # stamps above are dates, below are times since a start


def draw_header(canvas: np.ndarray, perception: Perception, age_ms: float | None, camera: str) -> None:
    """A dark strip with text on the left and chips on the right; what does not fit is left out, faults first in."""
    size = text_size(canvas)
    height = round(size * 2.9)
    stamp(canvas, np.full((height, canvas.shape[1]), 255, np.uint8), 0, 0, SHADOW, 0.62)
    top = round(size * 0.6)
    at = write(canvas, camera or perception.frame.frame_id or "camera", round(size), top, size, WHITE)
    for text in header_texts(perception, age_ms):
        at = write(canvas, text, at + round(size * 1.2), top, size, LIGHT)
    right = canvas.shape[1] - round(size * 0.7)
    for text, fault in _chips(perception):
        width, chip_height = chip_size(text, size, dot=not fault)
        if right - width < at + size:
            return
        place = right - width, (height - chip_height) // 2
        chip(
            canvas, text, *place, size, fill=VERMILLION if fault else NIGHT, dot=None if fault else GREEN, opacity=0.95
        )
        right -= width + round(size * 0.5)


def header_texts(perception: Perception, age_ms: float | None = None) -> list[str]:
    """Time, age, and what the stages took."""
    timing = perception.timing
    age = [f"age {age_ms:.0f} ms"] if age_ms is not None else []
    engine = [f"engine {timing.inference_ms:.1f} ms"] if timing.inference_ms else []
    return [_time(perception.frame.stamp_ns), *age, *engine]


def _time(stamp_ns: int) -> str:
    if stamp_ns < EPOCH_LIKE_NS:
        return f"{stamp_ns / 1e9:.2f} s"
    return datetime.fromtimestamp(stamp_ns / 1e9, timezone.utc).strftime("%H:%M:%S.%f")[:-4] + " UTC"


def _chips(perception: Perception) -> list[tuple[str, bool]]:
    """Texts and whether they are faults, most important first."""
    faults = [
        (name.replace("IMAGE_", "").replace("_", " ").lower(), True) for name in names_of(perception.status_flags)
    ]
    return faults + [(attribute.label, False) for attribute in perception.scene]
