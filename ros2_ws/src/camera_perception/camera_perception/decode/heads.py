"""Decode all heads of one image to Observations, and validate model.json against the output shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from camera_perception.core.errors import ModelError
from camera_perception.core.model_spec import HeadSpec, ModelSpec
from camera_perception.core.types import Detections, LaneLine, Observations, SceneAttribute, Task
from camera_perception.decode import decoder
from camera_perception.image.letterbox import Letterbox

Shapes = Mapping[str, Sequence[int]]
TASKS = tuple(Task(bits) for bits in range(2 * max(Task)))
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
    tasks = 0  # IntFlag operations take ten times as long
    lanes: list[LaneLine] = []
    scene: list[SceneAttribute] = []
    detections, drivable, semantic = None, None, None  # of the first head that has them
    for head in spec.heads:
        arrays = {role: outputs[name] for role, name in head.tensors.items()}
        part = decoder(head.kind).decode(arrays, head, letterbox, thresholds.get(head.head, head.threshold))
        tasks |= int(part.tasks)
        lanes += part.lanes or ()
        scene += part.scene or ()
        detections = part.detections if detections is None else detections
        drivable = part.drivable if drivable is None else drivable
        semantic = part.semantic if semantic is None else semantic
    found = Detections.empty() if detections is None else detections
    return Observations(TASKS[tasks], found, tuple(lanes), drivable, semantic, tuple(scene))
