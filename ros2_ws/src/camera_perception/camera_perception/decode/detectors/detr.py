"""Detectors with a fixed number of queries and no suppression: RT-DETR, D-FINE, DEIM, RF-DETR, DETR.

roles    output (N, 4 + C): centre x y, width, height, one score per class; or
         boxes (N, 4) and scores (N, C)
options  normalized: true when boxes are fractions of the network's input; default: true
         activation: none, sigmoid or softmax, of the scores; default: none. With softmax the last of C + 1 scores is
         "no object", and `classes` names the first C
         calibration, thresholds: scores.py
nms_iou  null: no suppression
Source   Zhao et al., DETRs Beat YOLOs on Real-time Object Detection, arXiv 2304.08069
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
from camera_perception.decode.detectors.activations import ACTIVATIONS, check_activation
from camera_perception.decode.heads import Shapes, expect_shape
from camera_perception.image.letterbox import Letterbox


def check(head: HeadSpec, shapes: Shapes) -> None:
    check_classes(head)
    check_activation(head, "none", "sigmoid", "softmax")
    scores = len(head.classes) + (head.options.get("activation") == "softmax")
    if "boxes" in shapes:
        expect_shape(head, shapes, "boxes", "N", 4)
        expect_shape(head, shapes, "scores", shapes["boxes"][1], scores)
    else:
        expect_shape(head, shapes, "output", "N", 4 + scores)


def decode(arrays: Mapping[str, np.ndarray], head: HeadSpec, letterbox: Letterbox, threshold: float) -> Part:
    output = arrays.get("output")
    boxes, scores = (arrays["boxes"], arrays["scores"]) if output is None else (output[:, :4], output[:, 4:])
    scores = ACTIVATIONS[head.options.get("activation", "none")](scores)[:, : len(head.classes)]
    rows, best, classes = best_classes(scores, head, threshold)
    found = boxes[rows].astype(np.float32)
    if head.options.get("normalized", True):
        found = scaled_to_pixels(found, letterbox.input_size)
    return Part(Task.OBJECTS, detections=detections_from(corners(found), best, classes, head, letterbox, head.nms_iou))
