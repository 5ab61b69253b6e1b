"""One engine for several cameras whose images go through the network together, a row of the batch for each."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np

from camera_perception.core.errors import EngineError
from camera_perception.engines import Engine, Slot
from camera_perception.engines.serving.loaded import Model
from camera_perception.engines.serving.shared_engine import SharedEngine

PATIENCE = 0.005  # seconds that a camera waits for the others; cameras of a rig are triggered together


class Row:
    """One camera's part of a slot. See camera_perception.engines.Slot."""

    def __init__(self, slot: Slot, index: int) -> None:
        self.images: np.ndarray = slot.images[index : index + 1]
        self.outputs = {name: array[index : index + 1] for name, array in slot.outputs.items()}
        self.submitted = False


class BatchedEngine(SharedEngine):
    """Rows are handed out until all cameras have one; the last camera to submit runs the network for all.

    A camera that comes alone waits PATIENCE seconds for the others, then runs without them.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._changed = threading.Condition()
        self._slot: Slot | None = None
        self._rows: list[Row] = []  # handed out and not yet released
        self._begun = self._ready = 0  # rows of this batch: handed out, submitted
        self._deadline = 0.0
        self._state = "filling"  # then running, done
        self._error: Exception | None = None

    def acquire(self) -> Any:
        with self._changed:
            self._changed.wait_for(lambda: self._state == "filling" and self._begun < self.input.shape[0])
            if self._slot is None:
                self._slot = self.present.acquire()
            row = Row(self._slot, self._begun)
            self._begun += 1
            self._rows.append(row)
            return row

    def submit(self, slot: Any) -> None:
        with self._changed:
            if not self._ready:
                self._deadline = time.monotonic() + PATIENCE
            slot.submitted = True
            self._ready += 1
            self._changed.notify_all()

    def wait(self, slot: Any) -> None:
        """Until the batch is through; whoever finds it complete first runs it."""
        with self._changed:
            while self._state != "done" and not self._complete():
                self._changed.wait(max(self._deadline - time.monotonic(), 1e-3))
            mine = self._state == "filling"
            if mine:
                self._state = "running"
        if mine:
            self._run()
        self._raise()

    def _complete(self) -> bool:
        """Nobody still writes into the batch, and nobody is worth waiting for."""
        if self._state == "running":
            return False
        writing = [row for row in self._rows if not row.submitted]
        everybody = self._begun >= min(max(self.users, 1), self.input.shape[0])
        return not writing and (everybody or time.monotonic() >= self._deadline)

    def _run(self) -> None:
        try:
            assert self._slot is not None
            self.present.submit(self._slot)
            self.present.wait(self._slot)
        except Exception as error:
            self._error = error
        with self._changed:
            self._state = "done"
            self._changed.notify_all()

    def _raise(self) -> None:
        if isinstance(self._error, EngineError):
            raise EngineError(str(self._error)) from self._error
        if self._error is not None:
            raise self._error

    def release(self, slot: Any) -> None:
        with self._changed:
            self._rows.remove(slot)
            if not self._rows:
                self._begin_anew()
            self._changed.notify_all()

    def _begin_anew(self) -> None:
        done, self._slot = self._slot, None
        self._begun = self._ready = 0
        self._state, self._error = "filling", None
        if done is not None:
            self.present.release(done)

    def replace(self, failed: Engine, model: Model) -> None:
        """As SharedEngine.replace, once no camera is inside."""
        with self._changed:
            self._changed.wait_for(lambda: not self._rows)
            super().replace(failed, model)
