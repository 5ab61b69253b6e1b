"""Engines that change under a running pipeline, between two frames."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from camera_perception.engines import Engine, Slot, Tensor
from camera_perception.errors import EngineError


class LiveEngine:
    """An Engine whose inside can be replaced from any thread; frames in flight finish in the engine that began them.

    Used by one pipeline like any engine. `replace_by` takes an engine that has passed its reference check already
    (load_engine and build_engine see to that); what does not have the same tensors is refused and closed.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._owners: dict[int, Engine] = {}  # id of a slot in flight: whose it is
        self._retired: list[Engine] = []
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self._engine.name

    @property
    def engine_id(self) -> str:
        return self._engine.engine_id

    @property
    def precision(self) -> str:
        return self._engine.precision

    @property
    def input(self) -> Tensor:
        return self._engine.input

    @property
    def outputs(self) -> Mapping[str, Tensor]:
        return self._engine.outputs

    @property
    def slots(self) -> int:
        return self._engine.slots

    def acquire(self) -> Slot:
        with self._lock:
            slot = self._engine.acquire()
            self._owners[id(slot)] = self._engine
            return slot

    def submit(self, slot: Slot) -> None:
        self._owners[id(slot)].submit(slot)

    def wait(self, slot: Slot) -> None:
        self._owners[id(slot)].wait(slot)

    def release(self, slot: Slot) -> None:
        """The thread that works closes what is no longer needed: an engine is used by one thread."""
        with self._lock:
            owner = self._owners.pop(id(slot))
            busy = {id(engine) for engine in self._owners.values()}
            idle = [engine for engine in self._retired if id(engine) not in busy]
            self._retired = [engine for engine in self._retired if id(engine) in busy]
        try:
            owner.release(slot)
        finally:
            for engine in idle:
                engine.close()

    def replace_by(self, engine: Engine) -> None:
        """From the next frame on; the old engine is closed when its last frame is through."""
        if problem := _difference(self._engine, engine):
            engine.close()
            raise EngineError(f"{engine.name} cannot replace {self.name}: {problem}; load it as a new model")
        with self._lock:
            self._retired.append(self._engine)
            self._engine = engine

    def close(self) -> None:
        with self._lock:
            owned, self._retired = [self._engine, *self._retired], []
        for engine in owned:
            engine.close()


def _difference(old: Engine, new: Engine) -> str:
    if new.input != old.input:
        return f"its input is {new.input.shape} {new.input.dtype}, not {old.input.shape} {old.input.dtype}"
    missing = [name for name, tensor in old.outputs.items() if new.outputs.get(name) != tensor]
    return f"output '{missing[0]}' is missing or different" if missing else ""
