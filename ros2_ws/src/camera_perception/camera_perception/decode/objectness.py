"""Rows of (middle x, y, width, height, objectness, one score per class), as YOLOX and YOLOP give them."""

from __future__ import annotations

import numpy as np

from camera_perception.decode.boxes import DEFAULT_IOU, detections_from_class_scores
from camera_perception.decode.check import Shapes, expect, expect_shape
from camera_perception.model_spec import HeadSpec
from camera_perception.preprocess import Letterbox
from camera_perception.types import Detections


def check_rows(head: HeadSpec, shapes: Shapes) -> None:
    """ModelError unless the role "output" is (N, 5 + C)."""
    expect(bool(head.classes), head, "'classes' is empty: name the classes in model.json")
    expect_shape(head, shapes, "output", "N", 5 + len(head.classes))


def detections_from_rows(rows: np.ndarray, head: HeadSpec, letterbox: Letterbox, threshold: float) -> Detections:
    """(N, 5 + C) in network pixels; the score of a class is objectness times class score."""
    rows = rows[rows[:, 4] >= threshold]  # class scores are at most 1
    max_iou = DEFAULT_IOU if head.nms_iou is None else head.nms_iou
    return detections_from_class_scores(rows[:, :4], rows[:, 4:5] * rows[:, 5:], head, letterbox, threshold, max_iou)
