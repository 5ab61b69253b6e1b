"""Checks that a compiled network has the inputs and outputs that model.json declares."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np

from camera_perception.core.errors import EngineError, ModelError
from camera_perception.core.model_spec import ModelSpec
from camera_perception.engines import Tensor

OUTPUT_DTYPES = ("uint8", "int32", "int64", "float32", "float16")


def required_outputs(spec: ModelSpec) -> tuple[str, ...]:
    """ONNX names of the outputs that the heads read, each once, in the order of model.json."""
    return tuple(dict.fromkeys(name for head in spec.heads for name in head.tensors.values()))


def check_names(spec: ModelSpec, inputs: Iterable[str], outputs: Iterable[str]) -> None:
    """ModelError when model.json names tensors that the graph does not have."""
    inputs, outputs = list(inputs), list(outputs)
    if inputs != [spec.input.name]:
        raise ModelError(
            f"{spec.onnx_path} has the inputs {', '.join(inputs)}, model.json names '{spec.input.name}': "
            "exactly one image input is supported; correct input.name or export the model again"
        )
    for head in spec.heads:
        for role, name in head.tensors.items():
            if name not in outputs:
                raise ModelError(
                    f"head '{head.head}' of {spec.folder / 'model.json'} reads '{name}' as {role}, but "
                    f"{spec.onnx_file} has only the outputs {', '.join(outputs)}: "
                    "correct outputs.tensors or export the model again"
                )


def check_input(spec: ModelSpec, shape: Iterable[object], dtype: str) -> None:
    """ModelError when the image input differs from model.json; a dimension that is not a number is dynamic."""
    shape = list(shape)
    expected = spec.input.shape
    fits = len(shape) == 4 and all(
        not isinstance(have, int) or have < 1 or have == want for have, want in zip(shape, expected)
    )
    if not fits or dtype != spec.input.dtype:
        raise ModelError(
            f"input '{spec.input.name}' of {spec.onnx_path} is {dtype} {_text(shape)}, model.json declares "
            f"{spec.input.dtype} {_text(expected)} ({spec.input.layout}): "
            "correct the input section or export the model again"
        )


def check_outputs(spec: ModelSpec, outputs: Mapping[str, Tensor]) -> None:
    """ModelError when an output has another batch size than the input, no fixed shape, or an unsupported dtype."""
    for tensor in outputs.values():
        if not tensor.shape or tensor.shape[0] != spec.input.batch or 0 in tensor.shape:
            raise ModelError(
                f"output '{tensor.name}' of {spec.onnx_path} has shape {_text(tensor.shape)}: expected a fixed shape "
                f"that starts with the batch size {spec.input.batch}; export the model with static shapes"
            )
        if tensor.dtype.name not in OUTPUT_DTYPES:
            raise ModelError(
                f"output '{tensor.name}' of {spec.onnx_path} is {tensor.dtype.name}: expected one of "
                f"{', '.join(OUTPUT_DTYPES)}; export the model again"
            )


def engine_id(spec: ModelSpec, *parts: object) -> str:
    """Hash of 16 hex digits over the model file and everything about the backend that can change its outputs."""
    text = "|".join([spec.onnx_sha256, str(spec.input.shape), *map(str, parts)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def check_slots(slots: int) -> int:
    """The same number; EngineError unless it is between 1 and 16."""
    if not 1 <= slots <= 16:
        raise EngineError(f"an engine cannot have {slots} slots: give 1 to 16")
    return slots


def tensor(name: str, shape: Iterable[int], dtype: np.dtype | type | str) -> Tensor:
    return Tensor(name, tuple(int(size) for size in shape), np.dtype(dtype))


def _text(shape: Iterable[object]) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"
