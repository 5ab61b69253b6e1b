"""Detectors in the layout of Ultralytics exports (YOLOv8, YOLO11 and similar), with final scores 0..1.

roles    output, one of: (4 + C, N) or (N, 4 + C), centre x y, width, height, one score per class;
         (N, 6) end-to-end, x0 y0 x1 y1, score, class. All in network pixels, C the number of classes.
options  calibration, thresholds: scores.py
nms_iou  null: 0.45 for the first two, no suppression for end-to-end rows
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from camera_perception.core.model_spec import HeadSpec
from camera_perception.core.types import Detections, Task
from camera_perception.decode import Part
from camera_perception.decode.detections import DEFAULT_IOU, detections_from, detections_from_class_scores
from camera_perception.decode.heads import Shapes, expect, expect_shape
from camera_perception.decode.scores import check_scores, reported
from camera_perception.image.letterbox import Letterbox


def check(head: HeadSpec, shapes: Shapes) -> None:
    expect_shape(head, shapes, "output", "4 + C or N", "N or 4 + C")
    shape, columns = tuple(shapes["output"][1:]), 4 + len(head.classes)
    expect(bool(head.classes), head, "'classes' is empty: name the classes in model.json")
    fits = columns in shape or shape[1] == 6
    check_scores(head)
    expect(fits, head, f"{len(head.classes)} classes need an axis of {columns} (or rows of 6), the output is {shape}")


def decode(arrays: Mapping[str, np.ndarray], head: HeadSpec, letterbox: Letterbox, threshold: float) -> Part:
    output = arrays["output"]
    columns = 4 + len(head.classes)
    if output.shape[0] == columns:
        found = _raw(output.T, head, letterbox, threshold)
    elif output.shape[1] == columns and columns != 6:
        found = _raw(output, head, letterbox, threshold)
    else:
        found = _end_to_end(output, head, letterbox, threshold)
    return Part(Task.OBJECTS, detections=found)


def _raw(rows: np.ndarray, head: HeadSpec, letterbox: Letterbox, threshold: float) -> Detections:
    max_iou = DEFAULT_IOU if head.nms_iou is None else head.nms_iou
    return detections_from_class_scores(rows[:, :4], rows[:, 4:], head, letterbox, threshold, max_iou)


def _end_to_end(rows: np.ndarray, head: HeadSpec, letterbox: Letterbox, threshold: float) -> Detections:
    rows = rows[np.isfinite(rows[:, 5])]
    classes = rows[:, 5].round().astype(np.intp)
    kept, scores = reported(rows[:, 4], classes, head, threshold)
    return detections_from(rows[kept, :4], scores, classes[kept], head, letterbox, head.nms_iou)
