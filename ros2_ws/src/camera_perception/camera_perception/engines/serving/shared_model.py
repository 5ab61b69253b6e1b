"""Models that several cameras of a process share: opened once, closed by the last."""

from __future__ import annotations

import threading

from camera_perception.engines.serving.batched import BatchedEngine
from camera_perception.engines.serving.loaded import Model, ModelRequest, open_model
from camera_perception.engines.serving.shared_engine import SharedEngine


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
        self._models: dict[ModelRequest, SharedModel] = {}

    def open(self, choice: ModelRequest) -> Model:
        """As model.open_model."""
        with self._opening:
            model = self._models.get(choice)
            if model is None or not isinstance(model.engine, SharedEngine) or model.engine.users == 0:
                model = self._models[choice] = _shared(open_model(choice))
            assert isinstance(model.engine, SharedEngine)
            model.engine.users += 1
            return model


def _shared(model: Model) -> SharedModel:
    together = BatchedEngine if model.engine.input.shape[0] > 1 else SharedEngine
    return SharedModel(model.spec, together(model.engine), model.choice)
