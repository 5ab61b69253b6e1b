"""NanoDet and NanoDet-plus: scores, and the distances from a grid point to the four sides as distributions over bins.

Raw outputs of YOLOv8 and its successors are of the same form.

roles    output (N, C + 4 * bins): final scores, then `bins` logits per side left, top, right, bottom; N grid points by
         stride, row by row
options  strides: default [8, 16, 32, 64]; bins: default 8 (reg_max + 1); offset: of grid points in
         their cells, default 0 (NanoDet-plus), 0.5 for NanoDet and YOLOv8; calibration, thresholds: scores.py
nms_iou  null: 0.6, that of the authors
Source   NanoDet-plus, https://github.com/RangiLyu/nanodet; Li et al., Generalized Focal Loss, arXiv 2006.04388
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from camera_perception.core.model_spec import HeadSpec
from camera_perception.core.types import Task
from camera_perception.decode import Part
from camera_perception.decode.detections import best_classes, check_classes, detections_from
from camera_perception.decode.detectors.activations import softmax
from camera_perception.decode.detectors.yolox import anchor_grid, check_strides
from camera_perception.decode.heads import Shapes, expect, expect_shape
from camera_perception.image.letterbox import Letterbox

STRIDES, BINS, IOU = (8, 16, 32, 64), 8, 0.6


def check(head: HeadSpec, shapes: Shapes) -> None:
    check_classes(head)
    check_strides(head, STRIDES)
    bins = head.options.get("bins", BINS)
    expect(isinstance(bins, int) and bins > 1, head, f"option 'bins' is {bins}: expected a number such as {BINS}")
    offset = head.options.get("offset", 0)
    expect(isinstance(offset, int | float) and 0 <= offset <= 1, head, f"option 'offset' is {offset}: expected 0 to 1")
    expect_shape(head, shapes, "output", "N", len(head.classes) + 4 * bins)


def decode(arrays: Mapping[str, np.ndarray], head: HeadSpec, letterbox: Letterbox, threshold: float) -> Part:
    grid = anchor_grid(letterbox.input_size, tuple(head.options.get("strides", STRIDES)), partial=True)
    output, classes = arrays["output"][: len(grid)], len(head.classes)
    rows, scores, found = best_classes(output[:, :classes], head, threshold)
    bins = head.options.get("bins", BINS)
    sides = softmax(output[rows, classes:].reshape(len(rows), 4, bins)) @ np.arange(bins)
    column, row, stride = grid[rows].T
    offset = head.options.get("offset", 0)
    x, y, sides = (column + offset) * stride, (row + offset) * stride, sides * stride[:, None]
    boxes = np.column_stack((x - sides[:, 0], y - sides[:, 1], x + sides[:, 2], y + sides[:, 3]))
    max_iou = IOU if head.nms_iou is None else head.nms_iou
    return Part(Task.OBJECTS, detections=detections_from(boxes, scores, found, head, letterbox, max_iou))
