"""Candidates whose boxes and scores are two outputs, before suppression (YOLO-NAS, PP-YOLOE, DAMO-YOLO, TensorRT's
inputs of EfficientNMS, YOLOv4 of pytorch-YOLOv4, UltraFace and other SSDs with decoded boxes).

roles    boxes (N, 4) or (N, 1, 4); scores (N, C) or (C, N), one score per class
options  boxes: corners (x0 y0 x1 y1) or center (centre x y, width, height); default: corners
         normalized: true when boxes are fractions of the network's input; default: false, network pixels
         background: first or last, the score for "no object" among C + 1, which `classes` leaves out; default: none
         activation: none or sigmoid, of the scores; default: none
         calibration, thresholds: scores.py
nms_iou  null: 0.45
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from camera_perception.core.model_spec import HeadSpec
from camera_perception.core.types import Task
from camera_perception.decode import Part
from camera_perception.decode.detections import (
    DEFAULT_IOU,
    best_classes,
    check_classes,
    corners,
    detections_from,
    scaled_to_pixels,
)
from camera_perception.decode.detectors.activations import ACTIVATIONS, check_activation
from camera_perception.decode.heads import Shapes, expect, expect_shape
from camera_perception.image.letterbox import Letterbox

CODINGS = ("corners", "center")
FOREGROUND = {None: slice(None), "first": slice(1, None), "last": slice(-1)}  # option background: columns of classes


def check(head: HeadSpec, shapes: Shapes) -> None:
    check_classes(head)
    check_activation(head, "none", "sigmoid")
    expect_shape(head, shapes, "boxes", "N", *([1] if len(shapes.get("boxes", ())) == 4 else []), 4)
    background = head.options.get("background")
    expect(background in FOREGROUND, head, f"option 'background' is '{background}': expected first or last")
    rows, classes = shapes["boxes"][1], len(head.classes) + (background is not None)
    expect_shape(head, shapes, "scores", "N or C", "C or N")
    found = tuple(shapes["scores"][1:])
    expect(found in ((rows, classes), (classes, rows)), head, f"'scores' is {found}: expected ({rows}, {classes})")
    coding = head.options.get("boxes", "corners")
    expect(coding in CODINGS, head, f"option 'boxes' is '{coding}': expected one of {', '.join(CODINGS)}")


def decode(arrays: Mapping[str, np.ndarray], head: HeadSpec, letterbox: Letterbox, threshold: float) -> Part:
    boxes, scores = arrays["boxes"].reshape(-1, 4), arrays["scores"]
    background = head.options.get("background")
    scores = scores if scores.shape == (len(boxes), len(head.classes) + (background is not None)) else scores.T
    scores = ACTIVATIONS[head.options.get("activation", "none")](scores)[:, FOREGROUND[background]]
    rows, best, classes = best_classes(scores, head, threshold)
    found = boxes[rows].astype(np.float32)
    if head.options.get("normalized", False):
        found = scaled_to_pixels(found, letterbox.input_size)
    found = corners(found) if head.options.get("boxes") == "center" else found
    max_iou = DEFAULT_IOU if head.nms_iou is None else head.nms_iou
    return Part(Task.OBJECTS, detections=detections_from(found, best, classes, head, letterbox, max_iou))
