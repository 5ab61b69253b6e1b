"""Backend that replays stored outputs, so that tests and laptops run the whole pipeline without a network."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from camera_perception.core.errors import EngineError
from camera_perception.core.model_spec import ModelSpec
from camera_perception.engines import EngineInfo
from camera_perception.engines.reference import Reference, read_reference
from camera_perception.engines.slots import FreeSlots, HostSlot
from camera_perception.engines.validate import check_outputs, check_slots, engine_id, required_outputs, tensor


def available() -> str | None:
    """None: this backend needs nothing installed."""
    return None


def load(
    spec: ModelSpec,
    *,
    slots: int = 1,
    threads: int = 0,
    letterbox: bool = False,
    path: Path | str | None = None,
    strict: bool = False,
) -> RecordedEngine:
    """Open a recording of images and outputs. threads and letterbox are ignored.

    path   an npz as written by reference.write_reference; None = the model's reference.npz
    strict refuse an image that is not in the recording; otherwise the recording's outputs are replayed in order
    """
    source = Path(path) if path else spec.folder / "reference.npz"
    return RecordedEngine(spec, check_slots(slots), read_reference(source), strict)


class RecordedEngine:
    """See engines.Engine. A recorded image gets its own outputs, in whichever row of the batch it is."""

    def __init__(self, spec: ModelSpec, slots: int, reference: Reference, strict: bool) -> None:
        missing = [name for name in required_outputs(spec) if name not in reference.outputs]
        if missing:
            raise EngineError(f"the recording lacks the outputs {', '.join(missing)}: record it again with this model")
        self.input = tensor(spec.input.name, spec.input.shape, spec.input.dtype)
        self.outputs = {
            name: tensor(name, (spec.input.batch, *reference.outputs[name].shape[1:]), reference.outputs[name].dtype)
            for name in required_outputs(spec)
        }
        check_outputs(spec, self.outputs)
        self.info = EngineInfo(
            name="recorded",
            engine_id=engine_id(spec, "recorded", *map(_digest, reference.images)),
            backend="recorded",
            backend_version="",
            precision="fp32",
            device="",
        )
        self.spec, self.slots = spec, slots
        self._reference = reference
        self._row_of = {_digest(image): row for row, image in enumerate(reference.images)}
        self._strict = strict
        self._next = 0
        self._free = FreeSlots([HostSlot(self.input, self.outputs) for _ in range(slots)])

    def acquire(self) -> HostSlot:
        return self._free.acquire()

    def submit(self, slot: HostSlot) -> None:
        for index, image in enumerate(slot.images):
            row = self._row(image)
            for name, buffer in slot.outputs.items():
                buffer[index] = self._reference.outputs[name][row]

    def wait(self, slot: HostSlot) -> None:
        """Nothing to wait for."""

    def release(self, slot: HostSlot) -> None:
        self._free.release(slot)

    def close(self) -> None:
        """Nothing to do."""

    def _row(self, image: np.ndarray) -> int:
        known = self._row_of.get(_digest(image))
        if known is not None:
            return known
        if self._strict:
            raise EngineError("this image is not in the recording: record it, or load the engine with strict=False")
        self._next += 1
        return (self._next - 1) % len(self._reference.images)


def _digest(image: np.ndarray) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()
