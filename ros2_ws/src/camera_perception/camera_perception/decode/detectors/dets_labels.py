"""Final boxes as mmdeploy exports them (RTMDet, YOLOX, Faster R-CNN, ...).

roles    dets (N, 5) x0 y0 x1 y1 network pixels, score; labels (N,) class numbers
options  calibration, thresholds: scores.py
nms_iou  null: no second suppression
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from camera_perception.core.model_spec import HeadSpec
from camera_perception.core.types import Task
from camera_perception.decode import Part
from camera_perception.decode.detections import check_classes, final_detections
from camera_perception.decode.heads import Shapes, expect_shape
from camera_perception.image.letterbox import Letterbox


def check(head: HeadSpec, shapes: Shapes) -> None:
    check_classes(head)
    expect_shape(head, shapes, "dets", "N", 5)
    expect_shape(head, shapes, "labels", shapes["dets"][1])


def decode(arrays: Mapping[str, np.ndarray], head: HeadSpec, letterbox: Letterbox, threshold: float) -> Part:
    dets, labels = arrays["dets"], arrays["labels"]
    found = final_detections(dets[:, :4], dets[:, 4], labels, head, letterbox, threshold)
    return Part(Task.OBJECTS, detections=found)
