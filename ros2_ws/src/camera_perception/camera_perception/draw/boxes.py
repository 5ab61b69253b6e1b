"""Draw objects on the image: boxes with labels of class, track, score and distance."""

from __future__ import annotations

import numpy as np

from camera_perception.core.boxes import iou_matrix
from camera_perception.core.model_spec import ModelSpec
from camera_perception.core.types import NO_TRACK, Objects
from camera_perception.draw.colors import LIGHT_COLORS, NIGHT, SHADOW, Color, class_color
from camera_perception.draw.placement import Placement
from camera_perception.draw.primitives import dashed, draw_label, label_size, polyline, text_size
from camera_perception.draw.scene import class_name, light_state

MIN_LABEL_HEIGHT = 1.2  # text heights; smaller boxes get no label
WIDEST_LABEL = 0.25  # of the image; the short text instead of a wider one
VEHICLES = {"car", "truck", "bus", "train", "van", "trailer", "motorcycle", "bicycle"}
SAME_OBJECT = 0.6  # IoU of two vehicles of different classes above which they are one


def distinct(objects: Objects, spec: ModelSpec) -> Objects:
    """The objects without vehicles whose box a surer vehicle of another class has as well: one box per object."""
    vehicles = [row for row in range(len(objects)) if _name(objects, row, spec) in VEHICLES]
    overlap = iou_matrix(objects.boxes.astype(float), objects.boxes.astype(float))
    kept: list[int] = []
    for row in sorted(vehicles, key=lambda row: -objects.scores[row]):
        if not any(overlap[row, other] > SAME_OBJECT and _differ(objects, row, other) for other in kept):
            kept.append(row)
    hidden = set(vehicles) - set(kept)
    return objects[[row for row in range(len(objects)) if row not in hidden]]


def _differ(objects: Objects, row: int, other: int) -> bool:
    return bool(objects.classes[row] != objects.classes[other])


def draw_objects(
    canvas: np.ndarray, objects: Objects, spec: ModelSpec, scale: np.ndarray, placement: Placement
) -> None:
    """Boxes from small to large; labels from large to small, where they hide no object and no other label."""
    boxes = objects.boxes * np.tile(scale, 2)
    heights = boxes[:, 3] - boxes[:, 1]
    for row in np.argsort(heights):
        _draw_box(canvas, boxes[row], _color(objects, row, spec), bool(objects.coasted[row]))
    size = text_size(canvas)
    for row in np.argsort(-heights):
        if heights[row] >= MIN_LABEL_HEIGHT * size:
            _draw_object_label(canvas, boxes[row], objects, int(row), spec, size, placement)


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
    canvas: np.ndarray,
    box: np.ndarray,
    objects: Objects,
    row: int,
    spec: ModelSpec,
    size: int,
    placement: Placement,
) -> None:
    state = light_state(objects, row, spec)
    dot = LIGHT_COLORS.get(state, _color(objects, row, spec)) if state else _color(objects, row, spec)
    for text in label_texts(objects, row, spec, state):
        width, height = label_size(text, size, dot=True)
        if width > canvas.shape[1] * WIDEST_LABEL:
            continue
        # Above the box, below it, or inside.
        corners = ((box[0], box[1] - height - 2), (box[0], box[3] + 3), (box[0], box[1] + 3))
        if corner := placement.place((width, height), corners):
            draw_label(canvas, text, *corner, size, fill=SHADOW if state else NIGHT, dot=dot)
            return


def label_texts(objects: Objects, row: int, spec: ModelSpec, state: str = "") -> tuple[str, str]:
    """The full label text, and the short one for when space is limited."""
    name = state or _name(objects, row, spec)
    track = f" #{objects.track_ids[row]}" if objects.track_ids[row] != NO_TRACK else ""
    distance = float(np.hypot(*objects.positions[row, :2]))
    metres = f"  {distance:.0f} m" if np.isfinite(distance) else ""
    return f"{name}{track} {objects.scores[row]:.2f}{metres}", metres.strip() or name


def _color(objects: Objects, row: int, spec: ModelSpec) -> Color:
    state = light_state(objects, row, spec)
    if state:
        return LIGHT_COLORS.get(state, LIGHT_COLORS["none"])
    return class_color(_name(objects, row, spec))


def _name(objects: Objects, row: int, spec: ModelSpec) -> str:
    return class_name(spec.classes, int(objects.classes[row]))
