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
from camera_perception.draw.boxes import distinct, draw_objects
from camera_perception.draw.colors import GREEN, LIGHT, NIGHT, SHADOW, VERMILLION, WHITE
from camera_perception.draw.lanes import draw_marking
from camera_perception.draw.placement import Placement
from camera_perception.draw.primitives import (
    SMALLEST_TEXT,
    Rect,
    blend_mask,
    draw_label,
    draw_text,
    label_size,
    text_size,
)
from camera_perception.draw.scene import class_names
from camera_perception.lanes.image_lines import BACKGROUND

MIN_EPOCH_NS = 10**17  # larger stamps are dates, smaller ones times since a start
HEADER_HEIGHT = 2.9  # text heights
# What stands on the road and hides the lines behind it; lights and signs hang above it.
HIDING = {"car", "truck", "bus", "train", "van", "trailer", "motorcycle", "bicycle", "rider", "pedestrian", "person"}


def header_rect(canvas: np.ndarray, boxes: np.ndarray) -> Rect:
    """The bar of the header: at the top, or at the bottom when only the top holds objects.

    boxes  (N, 4) x0 y0 x1 y1 of the objects, canvas pixels
    """
    height, width = canvas.shape[:2]
    bar = round(text_size(canvas) * HEADER_HEIGHT)
    at_top, at_bottom = (boxes[:, 1] < bar).any(), (boxes[:, 3] > height - bar).any()
    top = height - bar if at_top and not at_bottom else 0
    return 0, top, width, top + bar


def draw_header(
    canvas: np.ndarray, perception: Perception, age_ms: float | None, camera: str, bar: Rect | None = None
) -> None:
    """A dark bar with text on the left and labels on the right, faults first; labels that do not fit are omitted.

    bar  where the header is; default: at the top
    """
    size = text_size(canvas)
    left, start, width, end = bar or (0, 0, canvas.shape[1], round(size * HEADER_HEIGHT))
    blend_mask(canvas, np.full((end - start, width), 255, np.uint8), left, start, SHADOW, 0.62)
    top = start + round(size * 0.6)
    at = draw_text(canvas, camera or perception.frame.frame_id or "camera", round(size), top, size, WHITE)
    for text in header_texts(perception, age_ms):
        at = draw_text(canvas, text, at + round(size * 1.2), top, size, LIGHT)
    right = canvas.shape[1] - round(size * 0.7)
    for text, fault in _header_labels(perception):
        width, height = label_size(text, size, dot=not fault)
        if right - width < at + size:
            return
        position = right - width, start + (end - start - height) // 2
        fill, dot = (VERMILLION, None) if fault else (NIGHT, GREEN)
        draw_label(canvas, text, *position, size, fill=fill, dot=dot, opacity=0.95)
        right -= width + round(size * 0.5)


def header_strip(perception: Perception, width: int, camera: str = "") -> np.ndarray:
    """(h, width, 3) uint8 BGR: the header in rows of its own, for above the picture."""
    height = round(text_size(np.empty((1, width, 3), np.uint8)) * HEADER_HEIGHT)
    strip = np.full((height, width, 3), NIGHT, np.uint8)
    draw_header(strip, perception, None, camera)
    return strip


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
    header: bool = True,
) -> np.ndarray:
    """Draw a perception on its image.

    image    (H, W, 3) uint8 BGR, the image of the perception or a scaled copy; not changed
    out      optional output of the same shape
    semantic show the semantic classes instead of the drivable area
    age_ms   from capture to publishing, for the header
    camera   name for the header; default: the frame id
    header   False for a picture whose header stands elsewhere
    returns  out, or a new image
    """
    canvas = image.copy() if out is None else out
    if out is not None and out is not image:
        np.copyto(out, image)
    scale = np.array(image.shape[1::-1]) / perception.frame.image.shape[1::-1]
    visible = perception.semantic if semantic else perception.drivable
    if visible is not None:
        fill_classes(canvas, visible, opacity=0.55 if semantic else 0.3, skip=() if semantic else (BACKGROUND,))
    objects = distinct(perception.objects, spec)
    boxes = objects.boxes * np.tile(scale, 2)
    bar = header_rect(canvas, boxes)
    placement = Placement(canvas.shape, boxes, [bar] if header else [])
    hiding = boxes[[name in HIDING for name in class_names(objects, spec)]]
    draw_lanes(canvas, perception.lanes, scale, hiding)
    draw_objects(canvas, objects, spec, scale, placement)
    draw_lane_labels(canvas, perception.lanes, scale, placement)
    if header:
        draw_header(canvas, perception, age_ms, camera, bar)
    return canvas


def draw_lanes(canvas: np.ndarray, lanes: tuple[LaneLine, ...], scale: np.ndarray, hiding: np.ndarray) -> None:
    """Lines in their colour and pattern, thinner with distance; not where an object stands before them.

    hiding  (N, 4) x0 y0 x1 y1 of objects on the road, canvas pixels
    """
    lines = [line.points * scale for line in lanes]
    horizon = min((points[:, 1].min() for points in lines if len(points)), default=0.0)
    for line, points in zip(lanes, lines):
        widths = _widths(points[:, 1], horizon, canvas.shape)
        for part in visible_parts(points, hiding):
            draw_marking(canvas, line, points[part], widths[part])


def visible_parts(points: np.ndarray, hiding: np.ndarray) -> list[slice]:
    """Runs of two or more points (P, 2) of a line on the road that no box (N, 4) hides.

    All points inside a box are farther than its bottom, where the object stands on the road.
    """
    if not len(hiding) or not len(points):
        return [slice(0, len(points))]
    u, v = points[:, 0, None], points[:, 1, None]
    x0, y0, x1, y1 = hiding.T
    hidden = ((u > x0) & (u < x1) & (v > y0) & (v < y1)).any(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate(([True], hidden, [True])).astype(np.int8)))
    return [slice(start, end) for start, end in zip(edges[::2].tolist(), edges[1::2].tolist()) if end - start >= 2]


def draw_lane_labels(canvas: np.ndarray, lanes: tuple[LaneLine, ...], scale: np.ndarray, placement: Placement) -> None:
    """Type and colour at the near end of each line, where there is place."""
    for line in lanes:
        if len(line.points) >= 2:
            _label(canvas, line, line.points * scale, placement)


def _widths(v: np.ndarray, horizon: float, shape: tuple[int, ...]) -> np.ndarray:
    """Line widths that shrink towards the horizon, canvas pixels."""
    nearness = np.clip((v - horizon) / max(shape[0] - horizon, 1), 0, 1)
    return shape[1] / 1280 * (2.5 + 7.5 * nearness)


def _label(canvas: np.ndarray, line: LaneLine, points: np.ndarray, placement: Placement) -> None:
    size = max(round(text_size(canvas) * 0.85), SMALLEST_TEXT)
    parts = [line.color.name.lower()] if line.color is not LineColor.UNKNOWN else []
    parts += [line.line_type.name.lower().replace("_", " ")] if line.line_type is not LineType.UNKNOWN else ["line"]
    number = f"#{line.lane_id} " if line.lane_id else ""
    text = number + " ".join(parts)
    lowest = canvas.shape[0] - label_size(text, size)[1] - size // 2
    corners = [(u + size * 1.2, min(v - size, lowest)) for u, v in points[len(points) // 6 :: max(len(points) // 6, 1)]]
    if corner := placement.place(label_size(text, size), corners[:3]):
        draw_label(canvas, text, *corner, size, fill=SHADOW, opacity=0.6)
