"""Lane heads of public models: per pixel, marking or not. The lines are traced; type and colour stay unknown.

roles    logits (1, h, w) score of "marking", or (2, h, w) scores of background and marking
options  probabilities: true when the scores are 0..1 already, false (logits) when not given
The score of a line is the mean probability of "marking" along it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from camera_perception.decode import Part
from camera_perception.decode.check import Shapes, expect, expect_shape
from camera_perception.lanes import assign_positions, inside
from camera_perception.model_spec import HeadSpec
from camera_perception.preprocess import Letterbox
from camera_perception.trace import trace
from camera_perception.types import LaneLine, Task


def check(head: HeadSpec, shapes: Shapes) -> None:
    expect_shape(head, shapes, "logits", "1 or 2", "h", "w")
    planes = shapes["logits"][1]
    expect(planes in (1, 2), head, f"'logits' has {planes} planes: expected marking, or background and marking")


def decode(arrays: Mapping[str, np.ndarray], head: HeadSpec, letterbox: Letterbox, threshold: float) -> Part:
    marking = _probability(arrays["logits"].astype(np.float32), head.options.get("probabilities", False))
    lines = (_line(points, marking, letterbox) for points in trace(marking > 0.5))
    good = [line for line in lines if len(line.points) >= 2 and line.score >= threshold]
    return Part(Task.LANES, lanes=assign_positions(good, letterbox.image_size))


def _probability(scores: np.ndarray, final: bool) -> np.ndarray:
    """(1 or 2, h, w) scores -> (h, w) probability of marking."""
    if final:
        return scores[-1]
    with np.errstate(over="ignore", invalid="ignore"):
        return 1 / (1 + np.exp(-(scores[-1] - (scores[0] if len(scores) == 2 else 0))))


def _line(points: np.ndarray, marking: np.ndarray, letterbox: Letterbox) -> LaneLine:
    """Mask pixels to source pixels."""
    score = marking[points[:, 1].astype(int), points[:, 0].astype(int)].mean()
    in_input = points * letterbox.input_size[::-1] / marking.shape[::-1]
    in_image = letterbox.image_from_input(in_input).astype(np.float32)
    return LaneLine(in_image[inside(in_image, letterbox.image_size)], float(min(score, 1.0)))
