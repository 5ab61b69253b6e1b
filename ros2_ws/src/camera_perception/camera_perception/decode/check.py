"""Questions that every decoder asks about model.json before the first frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from camera_perception.errors import ModelError
from camera_perception.model_spec import HeadSpec

Shapes = Mapping[str, Sequence[int]]


def expect_shape(head: HeadSpec, shapes: Shapes, role: str, *dims: int | str) -> None:
    """ModelError unless the tensor of that role has these dimensions after the batch; a letter stands for any size."""
    if role not in shapes:
        raise ModelError(f"{_name(head)} needs a tensor with the role '{role}': add it to 'tensors' in model.json")
    shape = tuple(shapes[role])
    fits = len(shape) == len(dims) + 1 and all(isinstance(d, str) or d == s for d, s in zip(dims, shape[1:]))
    if not fits:
        wanted = ", ".join(map(str, ("B", *dims)))
        raise ModelError(f"{_name(head)} expects '{role}' of shape [{wanted}], the model gives {list(shape)}: {HINT}")


HINT = "correct classes, options or kind in model.json"


def expect(condition: bool, head: HeadSpec, problem: str) -> None:
    """ModelError with the head's name and the problem unless the condition holds."""
    if not condition:
        raise ModelError(f"{_name(head)}: {problem}")


def _name(head: HeadSpec) -> str:
    return f"head '{head.head}' of kind '{head.kind}'"
