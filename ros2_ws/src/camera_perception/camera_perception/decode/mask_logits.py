"""Drivable and semantic heads of public models: one score per class and pixel (TwinLiteNet, YOLOP, ...).

roles    logits (C, h, w) any monotonic score: logits or probabilities; the highest class wins.
         C = 1: class 1 where the score is above the option `cut`
options  cut: 0.0 (logits) when not given; 0.5 for probabilities. Only for C = 1
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from camera_perception.core.model_spec import HeadSpec
from camera_perception.decode import Part
from camera_perception.decode.class_map import check_classes, part_of
from camera_perception.decode.heads import Shapes, expect, expect_shape
from camera_perception.image.letterbox import Letterbox


def check(head: HeadSpec, shapes: Shapes) -> None:
    check_classes(head)
    expect_shape(head, shapes, "logits", "C", "h", "w")
    planes, classes = shapes["logits"][1], len(head.classes)
    expect(
        planes == classes or (planes, classes) == (1, 2), head, f"{classes} classes, but 'logits' has {planes} planes"
    )


def decode(arrays: Mapping[str, np.ndarray], head: HeadSpec, letterbox: Letterbox, threshold: float) -> Part:
    """The threshold has no meaning here: some class always wins."""
    return part_of(winners(arrays["logits"], head.options.get("cut", 0.0)), head, letterbox)


def winners(scores: np.ndarray, cut: float = 0.0) -> np.ndarray:
    """(C, h, w) -> (h, w) uint8 class of the highest score; of equal scores the first."""
    if len(scores) == 1:
        return (scores[0] > cut).astype(np.uint8)
    if len(scores) == 2:  # three times faster than argmax
        return (scores[1] > scores[0]).astype(np.uint8)
    return scores.argmax(axis=0).astype(np.uint8)
