"""Which of an engine's slots are free: all backends hand them out the same way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from camera_perception.core.errors import EngineError

SlotT = TypeVar("SlotT")


class FreeSlots(Generic[SlotT]):
    """The slots of one engine; the slot released first is handed out first."""

    def __init__(self, slots: Sequence[SlotT]):
        self._free = list(slots)
        self._count = len(self._free)

    def __len__(self) -> int:
        return self._count

    def acquire(self) -> SlotT:
        if not self._free:
            raise EngineError(
                f"all {self._count} slots of the engine are in use: release one first, or load it with more slots"
            )
        return self._free.pop(0)

    def release(self, slot: SlotT) -> None:
        if any(slot is free for free in self._free):
            raise EngineError("a slot was released twice: release each acquired slot exactly once")
        self._free.append(slot)
