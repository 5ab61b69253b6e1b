"""Final boxes in the outputs of TensorRT's EfficientNMS; RT-DETR and YOLO-NAS with their post-processing, TensorFlow.

roles    boxes (N, 4) x0 y0 x1 y1; scores (N,) or (N, 1); classes (N,) or (N, 1), numbers of any type;
         count (1,), optional: rows after the first `count` are empty
options  normalized: true when boxes are fractions of the network's input; default: false, network pixels
         order: xyxy (default) or yxyx (TensorFlow)
         calibration, thresholds: scores.py
nms_iou  null: no second suppression
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from camera_perception.core.model_spec import HeadSpec
from camera_perception.core.types import Task
from camera_perception.decode import Part
from camera_perception.decode.detections import check_classes, final_detections, scaled_to_pixels
from camera_perception.decode.heads import Shapes, expect, expect_shape
from camera_perception.image.letterbox import Letterbox


def check(head: HeadSpec, shapes: Shapes) -> None:
    check_classes(head)
    expect_shape(head, shapes, "boxes", "N", 4)
    order = head.options.get("order", "xyxy")
    expect(order in ("xyxy", "yxyx"), head, f"option 'order' is {order}: expected xyxy or yxyx")
    rows = shapes["boxes"][1]
    for role in ("scores", "classes"):
        one_column = len(shapes.get(role, ())) == 3
        expect_shape(head, shapes, role, rows, *([1] if one_column else []))
    if "count" in head.tensors:
        expect(
            int(np.prod(shapes["count"][1:])) == 1, head, f"'count' is {tuple(shapes['count'])}: expected one number"
        )


def decode(arrays: Mapping[str, np.ndarray], head: HeadSpec, letterbox: Letterbox, threshold: float) -> Part:
    count = _count(arrays)
    boxes = arrays["boxes"][:count]
    if head.options.get("order") == "yxyx":
        boxes = boxes[:, [1, 0, 3, 2]]
    if head.options.get("normalized", False):
        boxes = scaled_to_pixels(boxes, letterbox.input_size)
    scores, classes = arrays["scores"].reshape(-1)[:count], arrays["classes"].reshape(-1)[:count]
    return Part(Task.OBJECTS, detections=final_detections(boxes, scores, classes, head, letterbox, threshold))


def _count(arrays: Mapping[str, np.ndarray]) -> int:
    rows = len(arrays["boxes"])
    count = float(arrays["count"].reshape(-1)[0]) if "count" in arrays else rows
    return int(min(max(count, 0), rows)) if np.isfinite(count) else 0
