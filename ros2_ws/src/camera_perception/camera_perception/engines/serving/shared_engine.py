"""One engine for several cameras of a process: each takes its turn, the memory is paid once."""

from __future__ import annotations

import threading

from camera_perception.engines import Engine, Slot
from camera_perception.engines.serving.loaded import Model


class SharedEngine:
    """An engine that one thread at a time has between acquire and release. See camera_perception.engines.Engine.

    close() by one camera leaves it to the others; the last one closes it.
    """

    slots = 1  # what one camera has at a time

    def __init__(self, engine: Engine) -> None:
        self._turn = threading.Lock()
        self.users = 0
        self._adopt(engine)

    def _adopt(self, engine: Engine) -> None:
        self.present = engine
        self.name, self.engine_id, self.precision = engine.name, engine.engine_id, engine.precision
        self.input, self.outputs = engine.input, engine.outputs

    def acquire(self) -> Slot:
        self._turn.acquire()
        try:
            return self.present.acquire()
        except BaseException:
            self._turn.release()
            raise

    def submit(self, slot: Slot) -> None:
        self.present.submit(slot)

    def wait(self, slot: Slot) -> None:
        self.present.wait(slot)

    def release(self, slot: Slot) -> None:
        try:
            self.present.release(slot)
        finally:
            self._turn.release()

    def replace(self, failed: Engine, model: Model) -> None:
        """Put a fresh engine in the place of the failed one; a camera that comes second finds it done."""
        with self._turn:
            if self.present is failed:
                self._adopt(model.reopened().engine)

    def close(self) -> None:
        self.users -= 1
        if self.users == 0:
            with self._turn:
                self.present.close()
