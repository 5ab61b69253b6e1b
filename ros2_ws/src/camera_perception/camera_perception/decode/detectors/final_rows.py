"""Final boxes, one per row, whose columns differ between exporters.

roles    output (N, columns)
options  columns: names in order, of x0 y0 x1 y1 class score and, ignored, batch and extra; default: rows of 7 of YOLOv7
         end2end: batch x0 y0 x1 y1 class score. YOLO-NAS "flat": batch x0 y0 x1 y1 score class. PaddleDetection:
         class score x0 y0 x1 y1
         normalized: true when boxes are fractions of the network's input; default: false, network pixels
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

YOLOV7 = ("batch", "x0", "y0", "x1", "y1", "class", "score")
BOX = ("x0", "y0", "x1", "y1")
NEEDED, IGNORED = {*BOX, "class", "score"}, {"batch", "extra"}


def check(head: HeadSpec, shapes: Shapes) -> None:
    check_classes(head)
    columns = list(head.options.get("columns", YOLOV7))
    needed = [name for name in columns if name not in IGNORED]
    problem = f"option 'columns' is {columns}: expected x0, y0, x1, y1, class and score once, and any of batch, extra"
    expect(sorted(map(str, needed)) == sorted(NEEDED), head, problem)
    expect_shape(head, shapes, "output", "N", len(columns))


def decode(arrays: Mapping[str, np.ndarray], head: HeadSpec, letterbox: Letterbox, threshold: float) -> Part:
    rows, columns = arrays["output"], list(head.options.get("columns", YOLOV7))
    boxes = rows[:, [columns.index(name) for name in BOX]]
    if head.options.get("normalized", False):
        boxes = scaled_to_pixels(boxes, letterbox.input_size)
    scores, classes = rows[:, columns.index("score")], rows[:, columns.index("class")]
    return Part(Task.OBJECTS, detections=final_detections(boxes, scores, classes, head, letterbox, threshold))
