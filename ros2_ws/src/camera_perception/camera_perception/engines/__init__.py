"""Inference engines: one module per backend behind one small protocol. A backend is imported when it is first used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Protocol

import numpy as np

from camera_perception.core.errors import EngineError

if TYPE_CHECKING:
    from camera_perception.core.model_spec import ModelSpec
    from camera_perception.image.letterbox import Letterbox


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output of a compiled network: fixed shape, batch first."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine is and what it runs on. It does not change while the engine is open.

    name            backend and device for people: "onnxruntime cpu", "tensorrt fp16 Orin"
    engine_id       hash over model, backend version, device, precision
    backend         a name of BACKENDS
    backend_version of the installed package; "" where there is none
    precision       "fp32", "tf32", "fp16", "bf16", "int8", "fp8"; decides how far outputs may be from the reference
    device          "cpu", "cuda", or the name of the GPU; "" where nothing is computed
    cuda_version    major CUDA version of the driver; "" on a CPU
    built_at        ISO 8601; "" where the engine was compiled when it was loaded
    """

    name: str
    engine_id: str
    backend: str
    backend_version: str
    precision: str
    device: str
    cuda_version: str = ""
    built_at: str = ""


class Slot(Protocol):
    """One frame (or batch) in flight. Its buffers are allocated once and reused.

    images  the input buffer, filled in place by preprocessing before submit
    outputs name: buffer, valid from wait() until release()
    """

    images: np.ndarray
    outputs: Mapping[str, np.ndarray]

    def load_image(self, image: np.ndarray) -> Letterbox | None:
        """Hand over a source image (H, W, 3) uint8 BGR instead of filling `images`, where the device preprocesses.

        Returns the image's position in the network's input; None where the CPU has to preprocess.
        """
        ...


class Engine(Protocol):
    """A compiled network. Owns its buffers; used by one thread.

    The order is acquire, fill the slot, submit, wait, read slot.outputs, release. `slots` frames may be between
    acquire and release at once, so that the copy of one frame overlaps with the compute of another.
    Every method raises EngineError with the cause and what to do.
    """

    info: EngineInfo
    spec: ModelSpec  # the model that runs; with TensorRT possibly a lower-precision variant of the one asked for
    input: Tensor
    outputs: Mapping[str, Tensor]
    slots: int

    def acquire(self) -> Slot: ...

    def submit(self, slot: Slot) -> None: ...

    def wait(self, slot: Slot) -> None: ...

    def release(self, slot: Slot) -> None: ...

    def close(self) -> None: ...


# Backend: module in this folder. Each has `available() -> str | None` (why it cannot be used here, or None) and
# `load(spec, *, slots, threads, letterbox, **its own options) -> Engine`; it ignores threads or letterbox where it has
# no use for them.
BACKENDS = {
    "tensorrt": "tensorrt",
    "tensorrt_rtx": "tensorrt.rtx",
    "openvino": "openvino",
    "onnxruntime": "onnxruntime",
    "recorded": "recorded",
}


def backend_module(backend: str) -> ModuleType:
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


__all__ = ["BACKENDS", "Engine", "EngineInfo", "Slot", "Tensor", "backend_module", "infer"]
