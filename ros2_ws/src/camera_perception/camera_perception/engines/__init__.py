"""Engines: one file per backend behind one small protocol. Nothing is imported before a model asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

import numpy as np

from camera_perception.core.errors import EngineError


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output of a compiled network: fixed shape, batch first."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype


class Slot(Protocol):
    """One frame (or batch) in flight. Its buffers are allocated once and reused.

    images  the input buffer, filled in place by preprocessing before submit
    outputs name: buffer, valid from wait() until release()

    Where the device preprocesses, a slot also has `take`: a function that takes the source image (H, W, 3) uint8 BGR
    instead of `images` being filled, and returns the preprocess.Letterbox; None or absent where it does not.
    """

    images: np.ndarray
    outputs: Mapping[str, np.ndarray]


class Engine(Protocol):
    """A compiled network. Owns its buffers; used by one thread.

    The order is acquire, write slot.images, submit, wait, read slot.outputs, release. `slots` frames may be between
    acquire and release at once, so that the copy of one frame runs beside the compute of another.
    Every method raises EngineError with the cause and what to do.
    """

    name: str  # backend and device for people: "onnxruntime cpu", "tensorrt fp16 Orin"
    engine_id: str  # hash over model, backend version, device, precision
    precision: str  # "fp32", "tf32", "fp16", "bf16", "int8", "fp8"; decides how far outputs may be from the reference
    input: Tensor
    outputs: Mapping[str, Tensor]
    slots: int

    def acquire(self) -> Slot: ...

    def submit(self, slot: Slot) -> None: ...

    def wait(self, slot: Slot) -> None: ...

    def release(self, slot: Slot) -> None: ...

    def close(self) -> None: ...


# backend: module in this folder. Each has `available() -> str | None` (why not, or None) and
# `load(spec, **options) -> Engine`.
BACKENDS = {
    "tensorrt": "tensorrt",
    "openvino": "openvino",
    "onnxruntime": "onnxruntime",
    "recorded": "recorded",
}


def backend_module(backend: str):
    """The module of a backend; EngineError names the known ones."""
    if backend not in BACKENDS:
        raise EngineError(f"unknown engine backend '{backend}': expected auto, {', '.join(BACKENDS)}")
    return import_module(f"{__name__}.{BACKENDS[backend]}")


def infer(engine: Engine, images: np.ndarray) -> dict[str, np.ndarray]:
    """Run one batch and copy the outputs out: name -> array. For checks and tools; the pipeline uses slots."""
    slot = engine.acquire()
    try:
        slot.images[...] = images
        engine.submit(slot)
        engine.wait(slot)
        return {name: np.array(array) for name, array in slot.outputs.items()}
    finally:
        engine.release(slot)


__all__ = ["BACKENDS", "Engine", "Slot", "Tensor", "backend_module", "infer"]
