"""Draw a perception on its image: class maps, lane lines, objects and a header."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timezone

import cv2
import numpy as np

from camera_perception.core.model_spec import ModelSpec
from camera_perception.core.types import (
    UNKNOWN_LABEL,
    ClassMap,
    LaneLine,
    LineColor,
    LineType,
    Perception,
    flag_names,
)
from camera_perception.draw.boxes import draw_objects
from camera_perception.draw.colors import GREEN, LIGHT, NIGHT, SHADOW, VERMILLION, WHITE
from camera_perception.draw.lanes import draw_marking
from camera_perception.draw.primitives import blend_mask, draw_label, draw_text, label_size, text_size
from camera_perception.lanes.image_lines import BACKGROUND

MIN_EPOCH_NS = 10**17  # larger stamps are dates, smaller ones times since a start


def draw_header(canvas: np.ndarray, perception: Perception, age_ms: float | None, camera: str) -> None:
    """A dark bar with text on the left and labels on the right, faults first; labels that do not fit are omitted."""
    size = text_size(canvas)
    height = round(size * 2.9)
    blend_mask(canvas, np.full((height, canvas.shape[1]), 255, np.uint8), 0, 0, SHADOW, 0.62)
    top = round(size * 0.6)
    at = draw_text(canvas, camera or perception.frame.frame_id or "camera", round(size), top, size, WHITE)
    for text in header_texts(perception, age_ms):
        at = draw_text(canvas, text, at + round(size * 1.2), top, size, LIGHT)
    right = canvas.shape[1] - round(size * 0.7)
    for text, fault in _header_labels(perception):
        width, label_height = label_size(text, size, dot=not fault)
        if right - width < at + size:
            return
        position = right - width, (height - label_height) // 2
        draw_label(
            canvas,
            text,
            *position,
            size,
            fill=VERMILLION if fault else NIGHT,
            dot=None if fault else GREEN,
            opacity=0.95,
        )
        right -= width + round(size * 0.5)


def header_texts(perception: Perception, age_ms: float | None = None) -> list[str]:
    """Time, age and inference time."""
    timing = perception.timing
    age = [f"age {age_ms:.0f} ms"] if age_ms is not None else []
    engine = [f"engine {timing.inference_ms:.1f} ms"] if timing.inference_ms else []
    return [_time(perception.frame.stamp_ns), *age, *engine]


def _time(stamp_ns: int) -> str:
    if stamp_ns < MIN_EPOCH_NS:
        return f"{stamp_ns / 1e9:.2f} s"
    return datetime.fromtimestamp(stamp_ns / 1e9, timezone.utc).strftime("%H:%M:%S.%f")[:-4] + " UTC"


def _header_labels(perception: Perception) -> list[tuple[str, bool]]:
    """Label texts and whether they are faults, most important first."""
    faults = [
        (name.replace("IMAGE_", "").replace("_", " ").lower(), True) for name in flag_names(perception.status_flags)
    ]
    return faults + [(each.label, False) for each in perception.scene if each.label != UNKNOWN_LABEL]


def fill_classes(canvas: np.ndarray, classes: ClassMap, opacity: float, skip: Collection[str] = ()) -> None:
    """Blend the colours of a class map over a canvas (H, W, 3) of the same view; classes in skip stay transparent."""
    visible = np.array([name not in skip for name in classes.names])
    colors = np.where(visible[:, None], classes.colors[:, ::-1], 0).astype(np.uint8)
    cover = np.where(visible, 255, 0).astype(np.uint8)
    # Colour and coverage are upsampled together and smoothly, to soften the borders of the network's coarse cells.
    layer, alpha = (_upsample(table[classes.ids], canvas.shape[1::-1]) for table in (colors, cover))
    clear = cv2.convertScaleAbs(alpha, alpha=-opacity, beta=255)
    cv2.multiply(canvas, cv2.merge((clear, clear, clear)), dst=canvas, scale=1 / 255)
    cv2.scaleAdd(layer, opacity, canvas, dst=canvas)


def _upsample(cells: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(cv2.GaussianBlur(cells, (0, 0), 0.8), size, interpolation=cv2.INTER_LINEAR)


def overlay(
    image: np.ndarray,
    perception: Perception,
    spec: ModelSpec,
    *,
    out: np.ndarray | None = None,
    semantic: bool = False,
    age_ms: float | None = None,
    camera: str = "",
) -> np.ndarray:
    """Draw a perception on its image.

    image    (H, W, 3) uint8 BGR, the image of the perception or a scaled copy; not changed
    out      optional output of the same shape
    semantic show the semantic classes instead of the drivable area
    age_ms   from capture to publishing, for the header
    camera   name for the header; default: the frame id
    returns  out, or a new image
    """
    canvas = image.copy() if out is None else out
    if out is not None and out is not image:
        np.copyto(out, image)
    scale = np.array(image.shape[1::-1]) / perception.frame.image.shape[1::-1]
    visible = perception.semantic if semantic else perception.drivable
    if visible is not None:
        fill_classes(canvas, visible, opacity=0.55 if semantic else 0.3, skip=() if semantic else (BACKGROUND,))
    draw_lanes(canvas, perception.lanes, scale)
    draw_objects(canvas, perception.objects, spec, scale)
    draw_header(canvas, perception, age_ms, camera)
    return canvas


def draw_lanes(canvas: np.ndarray, lanes: tuple[LaneLine, ...], scale: np.ndarray) -> None:
    """Lines in their colour and pattern, thinner with distance, with a label at the near end."""
    lines = [line.points * scale for line in lanes]
    horizon = min((points[:, 1].min() for points in lines if len(points)), default=0.0)
    for line, points in zip(lanes, lines):
        draw_marking(canvas, line, points, _widths(points[:, 1], horizon, canvas.shape))
    for line, points in zip(lanes, lines):
        if len(points) >= 2:
            _label(canvas, line, points)


def _widths(v: np.ndarray, horizon: float, shape: tuple[int, ...]) -> np.ndarray:
    """Line widths that shrink towards the horizon, canvas pixels."""
    nearness = np.clip((v - horizon) / max(shape[0] - horizon, 1), 0, 1)
    return shape[1] / 1280 * (2.5 + 7.5 * nearness)


def _label(canvas: np.ndarray, line: LaneLine, points: np.ndarray) -> None:
    size = max(round(text_size(canvas) * 0.85), 8)
    parts = [line.color.name.lower()] if line.color is not LineColor.UNKNOWN else []
    parts += [line.line_type.name.lower().replace("_", " ")] if line.line_type is not LineType.UNKNOWN else ["line"]
    number = f"#{line.lane_id} " if line.lane_id else ""
    text = number + " ".join(parts)
    u, v = points[len(points) // 6]
    limit = np.array(canvas.shape[1::-1]) - label_size(text, size) - size // 2
    left, top = np.minimum((round(u + size * 1.2), round(v - size)), limit).tolist()
    draw_label(canvas, text, left, top, size, fill=SHADOW, opacity=0.6)
