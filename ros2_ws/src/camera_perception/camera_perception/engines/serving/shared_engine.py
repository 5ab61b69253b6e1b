"""One engine for several cameras of a process: they take turns, and its memory is allocated once."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from camera_perception.core.errors import EngineError
from camera_perception.engines import Engine, Slot
from camera_perception.engines.serving.model import Model

if TYPE_CHECKING:
    from camera_perception.image.letterbox import Letterbox

RELEASED_TWICE = "a slot was released twice: release each acquired slot exactly once"


class Turn:
    """One acquire of a shared engine: its slot, which other cameras hold before and after. See engines.Slot."""

    def __init__(self, slot: Slot) -> None:
        self.slot = slot

    @property
    def images(self) -> np.ndarray:
        return self.slot.images

    @property
    def outputs(self) -> Mapping[str, np.ndarray]:
        return self.slot.outputs

    def load_image(self, image: np.ndarray) -> Letterbox | None:
        return self.slot.load_image(image)


class SharedEngine:
    """An engine that one thread at a time uses, from acquire to release. See engines.Engine.

    close() by a camera closes the engine only when no other camera uses it.

    users  cameras that use it
    """

    slots = 1  # per camera

    def __init__(self, engine: Engine) -> None:
        self._turn, self._joining = threading.Lock(), threading.Lock()
        self._held: Turn | None = None  # of the camera that uses the engine
        self.users = 0
        self._closed = False
        self._use(engine)

    def join(self) -> bool:
        """Use the engine for one more camera; False when it is closed already."""
        with self._joining:
            self.users += not self._closed
            return not self._closed

    def _use(self, engine: Engine) -> None:
        self.current = engine
        self.info, self.spec, self.input, self.outputs = engine.info, engine.spec, engine.input, engine.outputs

    def acquire(self) -> Slot:
        self._turn.acquire()
        try:
            self._held = held = Turn(self.current.acquire())
        except BaseException:
            self._turn.release()
            raise
        return cast(Slot, held)  # whose attributes nobody sets

    def submit(self, slot: Any) -> None:
        self.current.submit(slot.slot)

    def wait(self, slot: Any) -> None:
        self.current.wait(slot.slot)

    def release(self, slot: Any) -> None:
        held = self._held
        if held is None or held is not slot:  # the turn is that of another camera, or nobody's
            raise EngineError(RELEASED_TWICE)
        self._held = None
        try:
            self.current.release(held.slot)
        finally:
            self._turn.release()

    def replace(self, failed: Engine, model: Model) -> None:
        """Replace the failed engine by a fresh one; does nothing when another camera has already done so."""
        with self._turn:
            if self.current is failed:
                self._use(model.reopened().engine)

    def close(self) -> None:
        with self._joining:
            self.users = max(0, self.users - 1)
            if self.users or self._closed:
                return
            self._closed = True
        with self._turn:
            self.current.close()
