"""Object head of our networks: the graph outputs the top K boxes.

roles    boxes (K, 4) float32 x0 y0 x1 y1 network pixels, scores (K,), classes (K,) int32,
         light_states (K, S) float32 probabilities, optional
options  light_states: names of the S states; light_class: name of the traffic light class;
         calibration, thresholds, one_object: scores.py;
         overlap_decay: IoU from which the score of a box falls beside better ones of its class: core/boxes.py
nms_iou  null: no suppression; a number: suppression of duplicates among the K rows, per class or group of classes
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from camera_perception import core
from camera_perception.core.model_spec import HeadSpec
from camera_perception.core.types import Detections, Task
from camera_perception.decode import Part
from camera_perception.decode.detections import detections_from, with_decayed_scores
from camera_perception.decode.heads import Shapes, expect, expect_shape
from camera_perception.decode.scores import check_scores, class_tables, reported
from camera_perception.image.letterbox import Letterbox

WITH_LIGHTS = Task.OBJECTS | Task.TRAFFIC_LIGHTS


def check(head: HeadSpec, shapes: Shapes) -> None:
    expect_shape(head, shapes, "boxes", "K", 4)
    rows = shapes["boxes"][1]
    expect_shape(head, shapes, "scores", rows)
    expect_shape(head, shapes, "classes", rows)
    expect(bool(head.classes), head, "'classes' is empty: name the classes in model.json")
    check_scores(head)
    expect(0 <= head.options.get("overlap_decay", 0) <= 1, head, "option 'overlap_decay' is an IoU: expected 0 to 1")
    if "light_states" in head.tensors:
        states, light_class = head.options.get("light_states", ()), head.options.get("light_class")
        expect_shape(head, shapes, "light_states", rows, len(states))
        expect(light_class in head.classes, head, f"option light_class '{light_class}' is not one of the classes")


def decode(arrays: Mapping[str, np.ndarray], head: HeadSpec, letterbox: Letterbox, threshold: float) -> Part:
    tasks = WITH_LIGHTS if "light_states" in arrays else Task.OBJECTS
    if core.kernels is not None and [arrays[role].dtype for role in COMPILED] == [*COMPILED.values()]:
        found = _decode_compiled(arrays, head, letterbox, threshold)
        return Part(tasks, detections=with_decayed_scores(found, head, threshold))
    rows, scores = reported(arrays["scores"], arrays["classes"], head, threshold)
    classes = arrays["classes"][rows]
    lights = _light_states(arrays, rows, classes, head)
    found = detections_from(arrays["boxes"][rows], scores, classes, head, letterbox, head.nms_iou, lights)
    return Part(tasks, detections=with_decayed_scores(found, head, threshold))


COMPILED = {"boxes": np.dtype(np.float32), "scores": np.dtype(np.float32), "classes": np.dtype(np.int32)}


def _decode_compiled(
    arrays: Mapping[str, np.ndarray], head: HeadSpec, letterbox: Letterbox, threshold: float
) -> Detections:
    boxes, scores, classes = [np.ascontiguousarray(arrays[role]) for role in COMPILED]
    in_image, published, rows = np.empty_like(boxes), np.empty_like(scores), np.empty(len(boxes), np.int64)
    count = core.kernels.decode_boxes(
        boxes, scores, classes, *class_tables(head, threshold), letterbox.numbers,
        -1.0 if head.nms_iou is None else head.nms_iou, in_image, published, rows,
    )  # fmt: skip
    rows = rows[:count]
    classes = classes.take(rows)
    lights = _light_states(arrays, rows, classes, head)
    lights[~np.isfinite(lights)] = 0
    return Detections(in_image[:count], published[:count], classes, lights)


def _light_states(
    arrays: Mapping[str, np.ndarray], rows: np.ndarray, classes: np.ndarray, head: HeadSpec
) -> np.ndarray:
    """(N, S) states of these rows, whose classes are (N,); zero for other classes than the light class."""
    states = arrays.get("light_states")
    if states is None:
        return np.zeros((len(rows), 0), np.float32)
    light = head.classes.index(head.options["light_class"])
    return np.where((classes == light)[:, None], states.take(rows, axis=0), np.float32(0))
