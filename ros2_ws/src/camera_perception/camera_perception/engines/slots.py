"""The slots of an engine: buffers on the host, and which of them are free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

import numpy as np

from camera_perception.core.errors import EngineError
from camera_perception.engines import Tensor

SlotT = TypeVar("SlotT")


class HostSlot:
    """A slot with input and output buffers in ordinary memory. See engines.Slot."""

    def __init__(self, images: Tensor, outputs: Mapping[str, Tensor]) -> None:
        self.images = np.zeros(images.shape, images.dtype)
        self.outputs = {name: np.zeros(out.shape, out.dtype) for name, out in outputs.items()}

    def load_image(self, image: np.ndarray) -> None:
        """None: the CPU preprocesses."""


class FreeSlots(Generic[SlotT]):
    """The slots of one engine; the slot released first is acquired first."""

    def __init__(self, slots: Sequence[SlotT]) -> None:
        self._free = list(slots)
        self._count = len(self._free)

    def acquire(self) -> SlotT:
        if not self._free:
            raise EngineError(
                f"all {self._count} slots of the engine are in use: release one first, or load it with more slots"
            )
        return self._free.pop(0)

    def release(self, slot: SlotT) -> None:
        for free in self._free:
            if slot is free:
                raise EngineError("a slot was released twice: release each acquired slot exactly once")
        self._free.append(slot)
