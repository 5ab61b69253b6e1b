"""Decode all heads of one image to Observations, and validate model.json against the output shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_

import numpy as np

from camera_perception.core.errors import ModelError
from camera_perception.core.model_spec import HeadSpec, ModelSpec
from camera_perception.core.types import Detections, Observations, Task
from camera_perception.decode import Part, decoder
from camera_perception.image.letterbox import Letterbox

Shapes = Mapping[str, Sequence[int]]
HINT = "correct classes, options or kind in model.json"


def expect_shape(head: HeadSpec, shapes: Shapes, role: str, *dims: int | str) -> None:
    """ModelError unless the tensor of a role has these dimensions after the batch; a string matches any size."""
    if role not in shapes:
        raise ModelError(f"{_name(head)} needs a tensor with the role '{role}': add it to 'tensors' in model.json")
    shape = tuple(shapes[role])
    fits = len(shape) == len(dims) + 1 and all(isinstance(d, str) or d == s for d, s in zip(dims, shape[1:]))
    if not fits:
        wanted = ", ".join(map(str, ("B", *dims)))
        raise ModelError(f"{_name(head)} expects '{role}' of shape [{wanted}], the model has {list(shape)}: {HINT}")


def expect(condition: bool, head: HeadSpec, problem: str) -> None:
    """ModelError with the name of the head and the problem unless the condition holds."""
    if not condition:
        raise ModelError(f"{_name(head)}: {problem}")


def _name(head: HeadSpec) -> str:
    return f"head '{head.head}' of kind '{head.kind}'"


def check_all(spec: ModelSpec, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """ModelError when a head of model.json does not fit these outputs (ONNX name -> shape with batch)."""
    for head in spec.heads:
        for name in head.tensors.values():
            expect(name in shapes, head, f"the model has no output '{name}', expected one of {', '.join(shapes)}")
        decoder(head.kind).check(head, {role: shapes[name] for role, name in head.tensors.items()})


def decode_all(
    outputs: Mapping[str, np.ndarray], spec: ModelSpec, letterbox: Letterbox, thresholds: Mapping[str, float]
) -> Observations:
    """Decode the outputs of one image.

    outputs    ONNX name -> array of one image (no batch axis); not referenced after the call
    thresholds head name -> minimum score; default: that of model.json
    """
    parts = [_decode(outputs, head, letterbox, thresholds.get(head.head, head.threshold)) for head in spec.heads]
    return Observations(
        tasks=Task(reduce(or_, (int(part.tasks) for part in parts), 0)),  # IntFlag operations take ten times as long
        detections=next((part.detections for part in parts if part.detections is not None), Detections.empty()),
        lanes=tuple(line for part in parts for line in part.lanes or ()),
        drivable=next((part.drivable for part in parts if part.drivable is not None), None),
        semantic=next((part.semantic for part in parts if part.semantic is not None), None),
        scene=tuple(attribute for part in parts for attribute in part.scene or ()),
    )


def _decode(outputs: Mapping[str, np.ndarray], head: HeadSpec, letterbox: Letterbox, threshold: float) -> Part:
    arrays = {role: outputs[name] for role, name in head.tensors.items()}
    part: Part = decoder(head.kind).decode(arrays, head, letterbox, threshold)
    return part
