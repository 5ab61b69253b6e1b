"""Draw objects on the image: boxes with labels of class, track, score and distance."""

from __future__ import annotations

import numpy as np

from camera_perception.core.model_spec import ModelSpec
from camera_perception.core.types import NO_TRACK, Objects
from camera_perception.draw.colors import LIGHT_COLORS, NIGHT, SHADOW, Color, class_color
from camera_perception.draw.primitives import Rect, dashed, draw_label, label_size, polyline, text_size
from camera_perception.draw.scene import class_name, light_state

MIN_LABEL_HEIGHT = 1.2  # text heights; smaller boxes get no label


def draw_objects(canvas: np.ndarray, objects: Objects, spec: ModelSpec, scale: np.ndarray) -> None:
    """Boxes from small to large; labels from large to small, without overlaps."""
    boxes = objects.boxes * np.tile(scale, 2)
    heights = boxes[:, 3] - boxes[:, 1]
    for row in np.argsort(heights):
        _draw_box(canvas, boxes[row], _color(objects, row, spec), bool(objects.coasted[row]))
    occupied: list[Rect] = []
    size = text_size(canvas)
    for row in np.argsort(-heights):
        if heights[row] >= MIN_LABEL_HEIGHT * size:
            _draw_object_label(canvas, boxes[row], objects, int(row), spec, size, occupied)


def _draw_box(canvas: np.ndarray, box: np.ndarray, color: Color, coasted: bool) -> None:
    """A box with thick corners; dashed when coasted."""
    width = max(canvas.shape[1] / 800, 1)
    x0, y0, x1, y1 = box = np.floor(box) + 0.5  # lines are sharp on pixel centres
    outline = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)])
    if coasted:
        strokes = [(dash, width) for dash in dashed(outline, 6 * width, 4 * width)]
    else:
        strokes = [(outline, width), *((corner, 2 * width) for corner in _corners(box, 16 * width))]
    for stroke, stroke_width in strokes:
        polyline(canvas, stroke, SHADOW, stroke_width + 2)
    for stroke, stroke_width in strokes:
        polyline(canvas, stroke, color, stroke_width)


def _corners(box: np.ndarray, longest: float) -> list[np.ndarray]:
    """Corner marks of a box; none when it is too small."""
    x0, y0, x1, y1 = box
    arm = min(0.22 * min(x1 - x0, y1 - y0), longest)
    if arm < longest / 3:
        return []
    ends = ((x0, y0, arm, arm), (x1, y0, -arm, arm), (x1, y1, -arm, -arm), (x0, y1, arm, -arm))
    return [np.array([(x + right, y), (x, y), (x, y + down)]) for x, y, right, down in ends]


def _draw_object_label(
    canvas: np.ndarray, box: np.ndarray, objects: Objects, row: int, spec: ModelSpec, size: int, occupied: list[Rect]
) -> None:
    state = light_state(objects, row, spec)
    dot = LIGHT_COLORS.get(state, _color(objects, row, spec)) if state else _color(objects, row, spec)
    for text in label_texts(objects, row, spec, state):
        position = _free_position(canvas, box, label_size(text, size, dot=True), occupied)
        if position:
            occupied.append(draw_label(canvas, text, *position, size, fill=SHADOW if state else NIGHT, dot=dot))
            return


def label_texts(objects: Objects, row: int, spec: ModelSpec, state: str = "") -> tuple[str, str]:
    """The full label text, and the short one for when space is limited."""
    name = state or class_name(spec.classes, int(objects.classes[row]))
    track = f" #{objects.track_ids[row]}" if objects.track_ids[row] != NO_TRACK else ""
    distance = float(np.hypot(*objects.positions[row, :2]))
    metres = f"  {distance:.0f} m" if np.isfinite(distance) else ""
    return f"{name}{track} {objects.scores[row]:.2f}{metres}", metres.strip() or name


def _color(objects: Objects, row: int, spec: ModelSpec) -> Color:
    state = light_state(objects, row, spec)
    if state:
        return LIGHT_COLORS.get(state, LIGHT_COLORS["none"])
    return class_color(class_name(spec.classes, int(objects.classes[row])))


def _free_position(
    canvas: np.ndarray, box: np.ndarray, size: tuple[int, int], occupied: list[Rect]
) -> tuple[int, int] | None:
    """Left and top of a free position for a label: above the box, below it, or inside; None when none is free."""
    width, height = size
    left = int(np.clip(box[0], 0, max(canvas.shape[1] - width, 0)))
    for top in (round(box[1]) - height - 2, round(box[3]) + 3, round(box[1]) + 3):
        rect = left, top, left + width, top + height
        if 0 <= top <= canvas.shape[0] - height and not any(_overlap(rect, other) for other in occupied):
            return left, top
    return None


def _overlap(a: Rect, b: Rect) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
