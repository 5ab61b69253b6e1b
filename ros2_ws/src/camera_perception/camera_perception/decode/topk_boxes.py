"""Object head of our networks: the graph outputs the top K boxes.

roles    boxes (K, 4) float32 x0 y0 x1 y1 network pixels, scores (K,), classes (K,) int32,
         light_states (K, S) float32 probabilities, optional
options  light_states: names of the S states; light_class: name of the traffic light class;
         calibration, thresholds, one_object: scores.py
nms_iou  null: no suppression; a number: suppression of duplicates among the K rows, per class or group of classes
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from camera_perception.core.model_spec import HeadSpec
from camera_perception.core.types import Task
from camera_perception.decode import Part
from camera_perception.decode.detections import detections_from
from camera_perception.decode.heads import Shapes, expect, expect_shape
from camera_perception.decode.scores import check_scores, reported
from camera_perception.image.letterbox import Letterbox

WITH_LIGHTS = Task.OBJECTS | Task.TRAFFIC_LIGHTS


def check(head: HeadSpec, shapes: Shapes) -> None:
    expect_shape(head, shapes, "boxes", "K", 4)
    rows = shapes["boxes"][1]
    expect_shape(head, shapes, "scores", rows)
    expect_shape(head, shapes, "classes", rows)
    expect(bool(head.classes), head, "'classes' is empty: name the classes in model.json")
    check_scores(head)
    if "light_states" in head.tensors:
        states, light_class = head.options.get("light_states", ()), head.options.get("light_class")
        expect_shape(head, shapes, "light_states", rows, len(states))
        expect(light_class in head.classes, head, f"option light_class '{light_class}' is not one of the classes")


def decode(arrays: Mapping[str, np.ndarray], head: HeadSpec, letterbox: Letterbox, threshold: float) -> Part:
    rows, scores = reported(arrays["scores"], arrays["classes"], head, threshold)
    states = arrays.get("light_states")
    classes = arrays["classes"][rows]
    tasks = Task.OBJECTS if states is None else WITH_LIGHTS
    lights = None if states is None else _light_states_only(states[rows], classes, head)
    found = detections_from(arrays["boxes"][rows], scores, classes, head, letterbox, head.nms_iou, lights)
    return Part(tasks, detections=found)


def _light_states_only(states: np.ndarray, classes: np.ndarray, head: HeadSpec) -> np.ndarray:
    """The network outputs states for every row; zero for other classes than the light class."""
    light = head.classes.index(head.options["light_class"])
    return np.where((classes == light)[:, None], states, 0)
