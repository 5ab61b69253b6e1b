"""One engine for several cameras of a process: each takes its turn, the memory is paid once."""

from __future__ import annotations

import threading

from camera_perception.engines import Engine, Slot
from camera_perception_ros.model import Model, ModelChoice, open_model


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


class SharedModel(Model):
    """A model whose engine belongs to several cameras."""

    def reopened(self) -> Model:
        engine = self.engine
        assert isinstance(engine, SharedEngine)
        failed = engine.present
        engine.replace(failed, Model(self.spec, failed, self.choice))
        return self


class ModelPool:
    """Opens each model once: a camera that makes the same choice shares it."""

    def __init__(self) -> None:
        self._opening = threading.Lock()
        self._models: dict[ModelChoice, SharedModel] = {}

    def open(self, choice: ModelChoice) -> Model:
        """As model.open_model."""
        with self._opening:
            model = self._models.get(choice)
            if model is None or not isinstance(model.engine, SharedEngine) or model.engine.users == 0:
                model = self._models[choice] = _shared(open_model(choice))
            assert isinstance(model.engine, SharedEngine)
            model.engine.users += 1
            return model


def _shared(model: Model) -> SharedModel:
    return SharedModel(model.spec, SharedEngine(model.engine), model.choice)
