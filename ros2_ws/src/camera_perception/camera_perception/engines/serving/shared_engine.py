"""One engine for several cameras of a process: they take turns, and its memory is allocated once."""

from __future__ import annotations

import threading

from camera_perception.engines import Engine, Slot
from camera_perception.engines.serving.model import Model


class SharedEngine:
    """An engine that one thread at a time uses, from acquire to release. See engines.Engine.

    close() by a camera closes the engine only when no other camera uses it.
    """

    slots = 1  # per camera

    def __init__(self, engine: Engine) -> None:
        self._turn = threading.Lock()
        self.users = 0
        self._use(engine)

    def _use(self, engine: Engine) -> None:
        self.current = engine
        self.info, self.spec, self.input, self.outputs = engine.info, engine.spec, engine.input, engine.outputs

    def acquire(self) -> Slot:
        self._turn.acquire()
        try:
            return self.current.acquire()
        except BaseException:
            self._turn.release()
            raise

    def submit(self, slot: Slot) -> None:
        self.current.submit(slot)

    def wait(self, slot: Slot) -> None:
        self.current.wait(slot)

    def release(self, slot: Slot) -> None:
        try:
            self.current.release(slot)
        finally:
            self._turn.release()

    def replace(self, failed: Engine, model: Model) -> None:
        """Replace the failed engine by a fresh one; does nothing when another camera has already done so."""
        with self._turn:
            if self.current is failed:
                self._use(model.reopened().engine)

    def close(self) -> None:
        self.users -= 1
        if self.users == 0:
            with self._turn:
                self.current.close()
