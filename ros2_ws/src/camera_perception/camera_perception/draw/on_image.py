"""Everything that was seen, drawn on the image it was seen in."""

from __future__ import annotations

import numpy as np

from camera_perception.draw.area import fill_classes
from camera_perception.draw.boxes import draw_objects
from camera_perception.draw.colors import SHADOW
from camera_perception.draw.header import draw_header
from camera_perception.draw.ink import chip, chip_size, text_size
from camera_perception.draw.marking import marking
from camera_perception.lanes import BACKGROUND
from camera_perception.model_spec import ModelSpec
from camera_perception.types import LaneLine, LineColor, LineType, Perception


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

    image    (H, W, 3) uint8 BGR, the image of the perception or a smaller or larger copy of it; not changed
    out      the same shape, drawn into when given
    semantic show the semantic classes instead of the drivable area
    age_ms   from capture to publishing, for the header
    camera   name for the header; the frame id when empty
    returns  out, or a new image
    """
    canvas = image.copy() if out is None else out
    if out is not None and out is not image:
        np.copyto(out, image)
    scale = np.array(image.shape[1::-1]) / perception.frame.image.shape[1::-1]
    shown = perception.semantic if semantic else perception.drivable
    if shown is not None:
        fill_classes(canvas, shown, opacity=0.55 if semantic else 0.3, skip=() if semantic else (BACKGROUND,))
    draw_lanes(canvas, perception.lanes, scale)
    draw_objects(canvas, perception.objects, spec, scale)
    draw_header(canvas, perception, age_ms, camera)
    return canvas


def draw_lanes(canvas: np.ndarray, lanes: tuple[LaneLine, ...], scale: np.ndarray) -> None:
    """Lines in their colour and pattern, wide near and thin far, with what they are at their near end."""
    lines = [line.points * scale for line in lanes]
    horizon = min((points[:, 1].min() for points in lines if len(points)), default=0.0)
    for line, points in zip(lanes, lines):
        marking(canvas, line, points, _widths(points[:, 1], horizon, canvas.shape))
    for line, points in zip(lanes, lines):
        if len(points) >= 2:
            _label(canvas, line, points)


def _widths(v: np.ndarray, horizon: float, shape: tuple[int, ...]) -> np.ndarray:
    """Widths that shrink towards the horizon, in pixels of the canvas."""
    nearness = np.clip((v - horizon) / max(shape[0] - horizon, 1), 0, 1)
    return shape[1] / 1280 * (2.5 + 7.5 * nearness)


def _label(canvas: np.ndarray, line: LaneLine, points: np.ndarray) -> None:
    size = max(round(text_size(canvas) * 0.85), 8)
    words = [line.color.name.lower()] if line.color is not LineColor.UNKNOWN else []
    words += [line.line_type.name.lower().replace("_", " ")] if line.line_type is not LineType.UNKNOWN else ["line"]
    number = f"#{line.lane_id} " if line.lane_id else ""
    text = number + " ".join(words)
    u, v = points[len(points) // 6]
    room = np.array(canvas.shape[1::-1]) - chip_size(text, size) - size // 2
    left, top = np.minimum((round(u + size * 1.2), round(v - size)), room).tolist()
    chip(canvas, text, left, top, size, fill=SHADOW, opacity=0.6)
