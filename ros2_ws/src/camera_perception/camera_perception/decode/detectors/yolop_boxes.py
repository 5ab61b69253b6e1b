"""The box output of YOLOP and similar networks, with anchors applied by the graph and final scores.

roles    output (N, 5 + C): centre x y, width, height in network pixels, objectness, one score per class
options  calibration, thresholds: scores.py
nms_iou  null: 0.45
Source   Wu et al., YOLOP: You Only Look Once for Panoptic Driving Perception, arXiv 2108.11250
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from camera_perception.core.model_spec import HeadSpec
from camera_perception.core.types import Task
from camera_perception.decode import Part
from camera_perception.decode.detections import check_rows, detections_from_rows
from camera_perception.decode.heads import Shapes
from camera_perception.image.letterbox import Letterbox


def check(head: HeadSpec, shapes: Shapes) -> None:
    check_rows(head, shapes)


def decode(arrays: Mapping[str, np.ndarray], head: HeadSpec, letterbox: Letterbox, threshold: float) -> Part:
    return Part(Task.OBJECTS, detections=detections_from_rows(arrays["output"], head, letterbox, threshold))
