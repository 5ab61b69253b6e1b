"""A model made ready to run: folder checked, engine compiled and compared with the reference, warmed up."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from camera_perception.core.errors import ModelError
from camera_perception.core.model_spec import ModelSpec, load_spec
from camera_perception.engines import Engine, infer
from camera_perception.engines.select import load_engine

CLOSING = 5.0  # seconds; a GPU that is gone can hold the driver's calls for ever


@dataclass(frozen=True)
class ModelRequest:
    """Which model, and on what it runs.

    folder        with model.json and model.onnx
    backend       as the parameter `engine`: auto, or a backend, :PRECISION may follow
    threads       of the CPU; 0 lets the backend decide
    gpu_letterbox let the GPU resize the image, where the backend can
    """

    folder: str
    backend: str = "auto"
    threads: int = 0
    gpu_letterbox: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """What load_engine gets."""
        options: dict[str, Any] = {"threads": self.threads} if self.threads else {}
        return options | ({"letterbox": True} if self.gpu_letterbox else {})


@dataclass(frozen=True)
class Model:
    """What the pipeline needs, and how to open the engine again after a failure."""

    spec: ModelSpec
    engine: Engine
    choice: ModelRequest

    @property
    def name(self) -> str:
        """Of the engine, for people."""
        return self.engine.name

    def reopened(self) -> Model:
        """The same model with a fresh engine; the old one is closed whether it likes it or not."""
        self.close()
        return replace(self, engine=open_engine(self.spec, self.choice))

    def close(self) -> bool:
        """Close the engine; False when it does not come back from that: its thread is left behind."""
        thread = threading.Thread(target=self._close, name="closing", daemon=True)
        thread.start()
        thread.join(CLOSING)
        return not thread.is_alive()

    def _close(self) -> None:
        try:
            self.engine.close()
        except Exception:  # it failed before, or it would not be closed in mid-run
            pass


def open_model(choice: ModelRequest) -> Model:
    """Load and try a model folder; PerceptionError says what is wrong and what to do."""
    if not choice.folder:
        raise ModelError("parameter 'model' is empty: give the folder that holds model.json and model.onnx")
    spec = load_spec(choice.folder)
    return Model(spec, open_engine(spec, choice), choice)


def open_engine(spec: ModelSpec, choice: ModelRequest) -> Engine:
    """A warm engine: the first run pays for lazy allocations, not the first image."""
    engine = load_engine(spec, choice.backend, **choice.options)
    infer(engine, np.zeros(engine.input.shape, engine.input.dtype))
    return engine
