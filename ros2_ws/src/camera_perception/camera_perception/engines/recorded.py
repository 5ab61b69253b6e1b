"""Plays stored outputs back: tests, laptops and newcomers run the whole pipeline without computing a network."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from camera_perception.core.errors import EngineError
from camera_perception.core.model_spec import ModelSpec
from camera_perception.engines.reference import Reference, read_reference
from camera_perception.engines.slots import FreeSlots
from camera_perception.engines.validate import check_outputs, check_slots, engine_id, tensor, wanted_outputs


def available() -> str | None:
    """Nothing has to be installed."""
    return None


def load(spec: ModelSpec, *, slots: int = 1, path: Path | str | None = None, strict: bool = False) -> RecordedEngine:
    """Open a recording of images and outputs.

    path   an npz as written by reference.write_reference; None = the model's reference.npz
    strict refuse an image that is not in the recording; otherwise it gets the recording's outputs one after the other
    """
    source = Path(path) if path else spec.folder / "reference.npz"
    return RecordedEngine(spec, check_slots(slots), read_reference(source), strict)


class RecordedSlot:
    """One batch in flight."""

    def __init__(self, engine: RecordedEngine):
        self.images = np.zeros(engine.input.shape, engine.input.dtype)
        self.outputs = {name: np.zeros(out.shape, out.dtype) for name, out in engine.outputs.items()}


class RecordedEngine:
    """See engines.Engine. Known images get their own outputs, wherever in the batch they are."""

    def __init__(self, spec: ModelSpec, slots: int, reference: Reference, strict: bool):
        missing = [name for name in wanted_outputs(spec) if name not in reference.outputs]
        if missing:
            raise EngineError(f"the recording lacks the outputs {', '.join(missing)}: record it again with this model")
        self.input = tensor(spec.input.name, spec.input.shape, spec.input.dtype)
        self.outputs = {
            name: tensor(name, (spec.input.batch, *reference.outputs[name].shape[1:]), reference.outputs[name].dtype)
            for name in wanted_outputs(spec)
        }
        check_outputs(spec, self.outputs)
        self.precision = "fp32"
        self.name = "recorded"
        self.engine_id = engine_id(spec, self.name, *map(_digest, reference.images))
        self.slots = slots
        self._reference = reference
        self._row_of = {_digest(image): row for row, image in enumerate(reference.images)}
        self._strict = strict
        self._next = 0
        self._free = FreeSlots([RecordedSlot(self) for _ in range(slots)])

    def acquire(self) -> RecordedSlot:
        return self._free.acquire()

    def submit(self, slot: RecordedSlot) -> None:
        for place, image in enumerate(slot.images):
            row = self._row(image)
            for name, buffer in slot.outputs.items():
                buffer[place] = self._reference.outputs[name][row]

    def wait(self, slot: RecordedSlot) -> None:
        """Nothing to wait for."""

    def release(self, slot: RecordedSlot) -> None:
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
