"""All heads of one image: network outputs to Seen."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import or_

import numpy as np

from camera_perception.decode import Part, decoder
from camera_perception.decode.check import expect
from camera_perception.model_spec import HeadSpec, ModelSpec
from camera_perception.preprocess import Letterbox
from camera_perception.types import Detections, Seen, Task


def check_all(spec: ModelSpec, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """ModelError when a head of model.json cannot belong to outputs of these shapes (ONNX name -> shape with batch)."""
    for head in spec.heads:
        for name in head.tensors.values():
            expect(name in shapes, head, f"the model has no output '{name}', only {', '.join(shapes)}")
        decoder(head.kind).check(head, {role: shapes[name] for role, name in head.tensors.items()})


def decode_all(
    outputs: Mapping[str, np.ndarray], spec: ModelSpec, letterbox: Letterbox, thresholds: Mapping[str, float]
) -> Seen:
    """What one image's outputs mean.

    outputs    ONNX name -> array of one image (no batch axis); copied from, never kept
    thresholds head name -> score from which on something is reported; model.json's where not given
    """
    parts = [_decode(outputs, head, letterbox, thresholds.get(head.head, head.threshold)) for head in spec.heads]
    return Seen(
        tasks=Task(reduce(or_, (int(part.tasks) for part in parts), 0)),  # flags take ten times as long
        detections=next((part.detections for part in parts if part.detections is not None), Detections.none()),
        lanes=tuple(line for part in parts for line in part.lanes or ()),
        drivable=next((part.drivable for part in parts if part.drivable is not None), None),
        semantic=next((part.semantic for part in parts if part.semantic is not None), None),
        scene=tuple(attribute for part in parts for attribute in part.scene or ()),
    )


def _decode(outputs: Mapping[str, np.ndarray], head: HeadSpec, letterbox: Letterbox, threshold: float) -> Part:
    arrays = {role: outputs[name] for role, name in head.tensors.items()}
    return decoder(head.kind).decode(arrays, head, letterbox, threshold)
