"""A model made ready to run: folder checked, engine compiled and compared with the reference, warmed up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from camera_perception.engines import Engine, infer
from camera_perception.engines.select import load_engine
from camera_perception.errors import ModelError
from camera_perception.model_spec import ModelSpec, load_spec


@dataclass(frozen=True)
class Model:
    """What the pipeline needs, and how to open the engine again after a failure."""

    spec: ModelSpec
    engine: Engine
    backend: str
    threads: int

    def reopened(self) -> Model:
        """The same model with a fresh engine; the old one is closed whether it likes it or not."""
        try:
            self.engine.close()
        except Exception:
            pass
        return Model(self.spec, open_engine(self.spec, self.backend, self.threads), self.backend, self.threads)


def open_model(folder: str, backend: str, threads: int) -> Model:
    """Load and try a model folder; PerceptionError says what is wrong and what to do."""
    if not folder:
        raise ModelError("parameter 'model' is empty: give the folder that holds model.json and model.onnx")
    spec = load_spec(folder)
    return Model(spec, open_engine(spec, backend, threads), backend, threads)


def open_engine(spec: ModelSpec, backend: str, threads: int) -> Engine:
    """A warm engine: the first run pays for lazy allocations, not the first image."""
    options: dict[str, Any] = {"threads": threads} if threads else {}
    engine = load_engine(spec, backend, **options)
    infer(engine, np.zeros(engine.input.shape, engine.input.dtype))
    return engine
