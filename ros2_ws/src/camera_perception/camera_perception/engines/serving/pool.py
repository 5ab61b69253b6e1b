"""Models shared by several cameras of a process: opened once, closed by the last camera."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

from camera_perception.engines.serving.batched_engine import BatchedEngine
from camera_perception.engines.serving.model import Model, ModelRequest, open_model
from camera_perception.engines.serving.shared_engine import SharedEngine


@dataclass(frozen=True)
class SharedModel(Model):
    """A model whose engine serves several cameras."""

    engine: SharedEngine

    def reopened(self) -> Model:
        failed = self.engine.current
        self.engine.replace(failed, Model(self.spec, failed, self.request))
        return self


class ModelPool:
    """Opens each model once: cameras with equal requests share it. One that never opens delays no other model."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opening: dict[ModelRequest, threading.Lock] = {}
        self._models: dict[ModelRequest, SharedModel] = {}

    def open(self, request: ModelRequest) -> Model:
        """Like open_model, for one more camera."""
        with self._lock:
            opening = self._opening.setdefault(request, threading.Lock())
        with opening:
            model = self._models.get(request)
            if model is None or not model.engine.join():
                self._forget_closed()
                model = _shared(open_model(request))
                model.engine.join()
                with self._lock:
                    self._models[request] = model
            return replace(model)  # each camera closes its own

    def _forget_closed(self) -> None:
        """Free the memory of engines that no camera uses any more."""
        with self._lock:
            self._models = {request: model for request, model in self._models.items() if model.engine.users}


def _shared(model: Model) -> SharedModel:
    engine_type = BatchedEngine if model.engine.input.shape[0] > 1 else SharedEngine
    return SharedModel(model.spec, engine_type(model.engine), model.request)
