"""Drivable and semantic heads of public models (TwinLiteNet, YOLOP, ...): one score per class and pixel.

roles    logits (C, h, w) any monotonic score: logits or probabilities; the highest class wins.
         C = 1: class 1 where the score exceeds the option `cut`
options  cut: default 0.0, for logits; 0.5 for probabilities. Only for C = 1
         islands: class_map.py
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from camera_perception.core.model_spec import HeadSpec
from camera_perception.decode import Part
from camera_perception.decode.class_map import check_class_names, part_from_ids
from camera_perception.decode.heads import Shapes, expect, expect_shape
from camera_perception.image.letterbox import Letterbox


def check(head: HeadSpec, shapes: Shapes) -> None:
    check_class_names(head)
    expect_shape(head, shapes, "logits", "C", "h", "w")
    planes, classes = shapes["logits"][1], len(head.classes)
    expect(
        planes == classes or (planes, classes) == (1, 2), head, f"{classes} classes, but 'logits' has {planes} planes"
    )


def decode(arrays: Mapping[str, np.ndarray], head: HeadSpec, letterbox: Letterbox, threshold: float) -> Part:
    """The threshold is unused: some class always wins."""
    return part_from_ids(highest_class(arrays["logits"], head.options.get("cut", 0.0)), head, letterbox)


def highest_class(scores: np.ndarray, threshold: float = 0.0) -> np.ndarray:
    """(C, h, w) -> (h, w) uint8 class of the highest score; the first of equal ones."""
    classes: np.ndarray
    if len(scores) == 1:
        classes = scores[0] > threshold
    elif len(scores) == 2:  # three times faster than argmax
        classes = scores[1] > scores[0]
    else:
        classes = scores.argmax(axis=0)
    return classes.astype(np.uint8)
