"""Scene head of our networks: one softmax per attribute of the whole image.

roles    the attribute's name: (n,) float32 probabilities
options  labels: attribute name -> its n labels
Attributes whose best label is below the threshold are omitted.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from camera_perception.core.model_spec import HeadSpec
from camera_perception.core.types import SceneAttribute, Task
from camera_perception.decode import Part
from camera_perception.decode.heads import Shapes, expect, expect_shape
from camera_perception.image.letterbox import Letterbox


def check(head: HeadSpec, shapes: Shapes) -> None:
    labels = head.options.get("labels", {})
    for name in head.tensors:
        expect(name in labels, head, f"option 'labels' lacks the labels of '{name}'")
        expect_shape(head, shapes, name, len(labels[name]))


def decode(arrays: Mapping[str, np.ndarray], head: HeadSpec, letterbox: Letterbox, threshold: float) -> Part:
    labels = head.options["labels"]
    best = ((name, int(scores.argmax()), scores) for name, scores in arrays.items())
    scene = (SceneAttribute(name, labels[name][at], float(scores[at])) for name, at, scores in best)
    return Part(Task.SCENE, scene=tuple(attribute for attribute in scene if attribute.score >= threshold))
