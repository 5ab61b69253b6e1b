"""Scene head of our networks: one softmax per attribute of the whole image.

roles    the attribute's name: (n,) float32 probabilities
options  labels: attribute name -> its n labels;
         thresholds: attribute name -> label -> minimum score; other labels use the head's threshold. A threshold that
         is asked for instead of the head's own scales all of them by the same factor.
An attribute whose most probable label is below its minimum score has the label "unknown".
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

import numpy as np

from camera_perception.core.model_spec import HeadSpec
from camera_perception.core.types import UNKNOWN_LABEL, SceneAttribute, Task
from camera_perception.decode import Part
from camera_perception.decode.heads import Shapes, expect, expect_shape
from camera_perception.image.letterbox import Letterbox


def check(head: HeadSpec, shapes: Shapes) -> None:
    labels = head.options.get("labels", {})
    for name in head.tensors:
        expect(name in labels, head, f"option 'labels' lacks the labels of '{name}'")
        expect_shape(head, shapes, name, len(labels[name]))

    for name, scores in head.options.get("thresholds", {}).items():
        wrong = [label for label in scores if label not in labels.get(name, ())]
        expect(not wrong, head, f"option 'thresholds' names {wrong} for '{name}': expected some of its labels")
        fits = all(0 <= score <= 1 for score in scores.values())
        expect(fits, head, f"option 'thresholds' gives {scores} for '{name}': expected 0 to 1")


def decode(arrays: Mapping[str, np.ndarray], head: HeadSpec, letterbox: Letterbox, threshold: float) -> Part:
    factor = threshold / head.threshold if head.threshold > 0 else 1.0
    labels = head.options["labels"]
    scene = tuple(_attribute(name, labels[name], scores, head, factor) for name, scores in arrays.items())
    return Part(Task.SCENE, scene=scene)


def _attribute(name: str, labels: list[str], scores: np.ndarray, head: HeadSpec, factor: float) -> SceneAttribute:
    best = int(scores.argmax())
    own = head.options.get("thresholds", {}).get(name, {}).get(labels[best], head.threshold)
    score = float(scores[best])
    score = score if isfinite(score) else float(np.nan_to_num(scores[best]))  # which takes ten times as long
    return SceneAttribute(name, labels[best] if score >= factor * own else UNKNOWN_LABEL, score)
