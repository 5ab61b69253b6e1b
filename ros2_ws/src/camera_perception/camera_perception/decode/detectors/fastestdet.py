"""FastestDet: one grid, one box per cell.

roles    output (5 + C, h, w): objectness, offset x y of the centre, width, height, one final score per class
options  calibration, thresholds: scores.py
nms_iou  null: 0.35, that of the authors
Source   https://github.com/dog-qiuqiu/FastestDet: the score is objectness times class score; offsets pass tanh and
         count cells; sizes pass a sigmoid and are fractions of the input
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from camera_perception.core.model_spec import HeadSpec
from camera_perception.core.types import Task
from camera_perception.decode import Part
from camera_perception.decode.detections import (
    best_classes,
    check_classes,
    corners,
    detections_from,
    scaled_to_pixels,
)
from camera_perception.decode.detectors.activations import sigmoid
from camera_perception.decode.heads import Shapes, expect_shape
from camera_perception.image.letterbox import Letterbox

IOU = 0.35


def check(head: HeadSpec, shapes: Shapes) -> None:
    check_classes(head)
    expect_shape(head, shapes, "output", 5 + len(head.classes), "h", "w")


def decode(arrays: Mapping[str, np.ndarray], head: HeadSpec, letterbox: Letterbox, threshold: float) -> Part:
    output = arrays["output"]
    _, height, width = output.shape
    cells = output.reshape(len(output), -1).T.astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        rows, scores, classes = best_classes(cells[:, :1] * cells[:, 5:], head, threshold)
    cells, (row, column) = cells[rows], np.divmod(rows, width)
    middle = (np.column_stack((column, row)) + np.tanh(cells[:, 1:3])) / (width, height)
    boxes = scaled_to_pixels(np.hstack((middle, sigmoid(cells[:, 3:5]))), letterbox.input_size)
    max_iou = IOU if head.nms_iou is None else head.nms_iou
    return Part(Task.OBJECTS, detections=detections_from(corners(boxes), scores, classes, head, letterbox, max_iou))
