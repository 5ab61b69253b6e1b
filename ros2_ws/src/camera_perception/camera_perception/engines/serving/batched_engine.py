"""One engine for several cameras whose images go through the network as one batch, one row per camera."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np

from camera_perception.core.errors import EngineError
from camera_perception.engines import Engine, Slot
from camera_perception.engines.serving.model import Model
from camera_perception.engines.serving.shared_engine import RELEASED_TWICE, SharedEngine

MAX_WAIT = 0.005  # seconds that a camera waits for the others; cameras of a rig are triggered together


class BatchRow:
    """One camera's row of a slot. See engines.Slot."""

    def __init__(self, slot: Slot, index: int) -> None:
        self.images: np.ndarray = slot.images[index : index + 1]
        self.outputs = {name: array[index : index + 1] for name, array in slot.outputs.items()}
        self.submitted = False

    def load_image(self, image: np.ndarray) -> None:
        """None: rows of a batch are preprocessed by the CPU."""


class BatchedEngine(SharedEngine):
    """Gives each camera a row of the batch; when all rows are submitted, one waiting camera runs the network for all.

    A camera without company waits MAX_WAIT seconds for the others, then runs without them.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._changed = threading.Condition()
        self._slot: Slot | None = None
        self._rows: list[BatchRow] = []  # acquired and not yet released
        self._acquired = self._submitted = 0  # rows of this batch
        self._deadline = 0.0
        self._state = "filling"  # then running, done
        self._error: Exception | None = None

    def acquire(self) -> Any:
        with self._changed:
            self._changed.wait_for(lambda: self._state == "filling" and self._acquired < self.input.shape[0])
            if self._slot is None:
                self._slot = self.current.acquire()
            row = BatchRow(self._slot, self._acquired)
            self._acquired += 1
            self._rows.append(row)
            return row

    def submit(self, slot: Any) -> None:
        with self._changed:
            if not self._submitted:
                self._deadline = time.monotonic() + MAX_WAIT
            slot.submitted = True
            self._submitted += 1
            self._changed.notify_all()

    def wait(self, slot: Any) -> None:
        """Block until the batch is done; the first camera to find it complete runs it."""
        with self._changed:
            while self._state != "done" and not self._complete():
                self._changed.wait(max(self._deadline - time.monotonic(), 1e-3))
            runs_batch = self._state == "filling"
            if runs_batch:
                self._state = "running"
        if runs_batch:
            self._run()
        self._raise_error()

    def release(self, slot: Any) -> None:
        with self._changed:
            if slot not in self._rows:
                raise EngineError(RELEASED_TWICE)
            self._rows.remove(slot)
            if not self._rows:
                self._start_next_batch()
            self._changed.notify_all()

    def replace(self, failed: Engine, model: Model) -> None:
        """Like SharedEngine.replace, once all rows are released."""
        with self._changed:
            self._changed.wait_for(lambda: not self._rows)
            super().replace(failed, model)

    def _complete(self) -> bool:
        """All acquired rows are submitted, and all cameras have one or the deadline has passed."""
        if self._state == "running":
            return False
        pending = any(not row.submitted for row in self._rows)
        all_cameras = self._acquired >= min(max(self.users, 1), self.input.shape[0])
        return not pending and (all_cameras or time.monotonic() >= self._deadline)

    def _run(self) -> None:
        try:
            assert self._slot is not None
            self.current.submit(self._slot)
            self.current.wait(self._slot)
        except Exception as error:
            self._error = error
        with self._changed:
            self._state = "done"
            self._changed.notify_all()

    def _raise_error(self) -> None:
        if isinstance(self._error, EngineError):
            raise EngineError(str(self._error)) from self._error
        if self._error is not None:
            raise self._error

    def _start_next_batch(self) -> None:
        done, self._slot = self._slot, None
        self._acquired = self._submitted = 0
        self._state, self._error = "filling", None
        if done is not None:
            self.current.release(done)
