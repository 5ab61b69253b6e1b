"""What comes after decoding: tracking, drawing, the fields of the message."""

from __future__ import annotations

from dataclasses import replace
from itertools import count, cycle
from pathlib import Path

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from camera_perception.core.boxes import iou_matrix
from camera_perception.core.model_spec import HeadSpec, ModelSpec
from camera_perception.core.types import ClassMap, Detections, EgoMotion, Objects, Perception
from camera_perception.draw import overlay
from camera_perception.io.message import perception_fields
from camera_perception.objects.localize import locate_objects
from camera_perception.objects.tracker.tracker import ObjectTracker
from camera_perception.tools.bench import synthetic_inputs
from camera_perception.tools.bench.component import Component

WAITING = EgoMotion(0.0, 0.0, 0.0)


def components() -> list[Component]:
    return [tracking(50), drawing(), fields(20)]


def spec() -> ModelSpec:
    """The contract of a model like ours, as far as drawing and messages read it."""
    options = {"light_states": ["red", "yellow", "green", "none"], "light_class": "traffic light"}
    objects = HeadSpec("objects", "topk_boxes", {}, synthetic_inputs.CLASSES, options=options)
    return ModelSpec(Path(), "bench", "1", "none", "", "", synthetic_inputs.INPUT, (objects, synthetic_inputs.DRIVABLE))


def tracking(objects: int) -> Component:
    """Every frame the same objects, moved by a pixel or two, from a car that waits."""
    seen = synthetic_inputs.detections(objects)
    moved = [_on_the_road(replace(seen, boxes=seen.boxes + shift)) for shift in (0, 1, 2, 1)]
    tracker, frames, ticks, camera = (
        ObjectTracker(synthetic_inputs.CLASSES),
        cycle(moved),
        count(),
        synthetic_inputs.camera(),
    )
    return Component(
        f"tracking {objects} objects",
        lambda: tracker.update(next(frames), next(ticks) * 33_000_000, WAITING, synthetic_inputs.SIZE, camera),
        "overlap of all pairs, scipy's linear_sum_assignment: no motion, no memory",
        lambda: linear_sum_assignment(-iou_matrix(moved[0].boxes, moved[1].boxes)),
    )


def _on_the_road(seen: Detections) -> Objects:
    return locate_objects(Objects.of(seen), synthetic_inputs.camera(), synthetic_inputs.CLASSES, synthetic_inputs.SIZE)


def drawing() -> Component:
    perception, contract = synthetic_inputs.perception(), spec()
    image, canvas = perception.frame.image, np.empty_like(perception.frame.image)
    assert perception.drivable is not None
    drivable = perception.drivable
    return Component(
        "overlay of 20 objects, 4 lines, road",
        lambda: overlay(image, perception, contract, out=canvas),
        "cv2.rectangle, putText, polylines, addWeighted of all pixels",
        lambda: _drawn(image, perception, drivable),
    )


def _drawn(image: np.ndarray, perception: Perception, road: ClassMap) -> np.ndarray:
    colors = cv2.resize(road.colors[road.ids], image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    canvas = cv2.addWeighted(image, 0.7, colors, 0.3, 0)
    for line in perception.lanes:
        cv2.polylines(canvas, [line.points.astype(np.int32)], False, (255, 255, 255), 4, cv2.LINE_AA)
    for (x0, y0, x1, y1), kind, score in zip(
        perception.objects.boxes.astype(int).tolist(), perception.objects.classes, perception.objects.scores
    ):
        cv2.rectangle(canvas, (x0, y0), (x1, y1), (0, 200, 0), 2)
        text = f"{synthetic_inputs.CLASSES[kind]} {score:.2f}"
        cv2.putText(canvas, text, (x0, y0 - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 200, 0), 1, cv2.LINE_AA)
    return canvas


def fields(objects: int) -> Component:
    perception, contract = synthetic_inputs.perception(objects), spec()
    return Component(
        f"fields of a message with {objects} objects, 4 lines",
        lambda: perception_fields(perception, contract),
        "boxes, scores and points as lists of numbers: no metres, no state, no flags",
        lambda: _lists(perception),
    )


def _lists(perception: Perception) -> list[object]:
    columns = (perception.objects.boxes, perception.objects.scores, perception.objects.classes)
    rows = [dict(zip(("box", "score", "class"), row)) for row in zip(*(column.tolist() for column in columns))]
    return [*rows, *({"u": line.points[:, 0].tolist(), "v": line.points[:, 1].tolist()} for line in perception.lanes)]
