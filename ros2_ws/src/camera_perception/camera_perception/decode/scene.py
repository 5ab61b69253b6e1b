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
from camera_perception.decode.scores import kept
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
    known = kept(head, ("scene", threshold), lambda: _labels(head, threshold))
    # A list: CPython 3.11 keeps up to 2,000 tuples of each length that `tuple` has shrunk for a generator.
    scene: list[SceneAttribute] = []
    for name, scores in arrays.items():
        (labels, minimums), best = known[name], int(scores.argmax())
        score = float(scores[best])
        score = score if isfinite(score) else float(np.nan_to_num(scores[best]))  # which takes ten times as long
        scene.append(SceneAttribute(name, labels[best] if score >= minimums[best] else UNKNOWN_LABEL, score))
    return Part(Task.SCENE, scene=tuple(scene))


def _labels(head: HeadSpec, threshold: float) -> dict[str, tuple[list[str], list[float]]]:
    """Labels of each attribute and their minimum scores."""
    factor, own = threshold / head.threshold if head.threshold > 0 else 1.0, head.options.get("thresholds", {})
    return {
        name: (labels, [factor * own.get(name, {}).get(label, head.threshold) for label in labels])
        for name, labels in head.options["labels"].items()
    }
