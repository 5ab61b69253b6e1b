"""A model that is ready to run: folder checked, engine loaded, compared with the reference and warmed up."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from camera_perception.core.errors import ModelError
from camera_perception.core.model_spec import ModelSpec
from camera_perception.engines import Engine, infer
from camera_perception.engines.select import load_engine
from camera_perception.engines.serving.fitting import load_fitting
from camera_perception.engines.serving.trusted import load_trusted, unchanged

CLOSE_TIMEOUT = 5.0  # seconds; driver calls to a lost GPU may never return


@dataclass(frozen=True)
class ModelRequest:
    """Which model to run, and on what.

    folder        with model.json and model.onnx
    backend       as the parameter `engine`: auto, or a backend, optionally followed by :PRECISION
    threads       of the CPU; 0 lets the backend decide
    gpu_letterbox let the GPU resize the image, where the backend can
    trusted_keys  public keys, one of which must have signed the folder; empty: every folder is loaded
    fit           use the input size of the folder that shows the images largest, unless cameras share the engine
    """

    folder: str
    backend: str = "auto"
    threads: int = 0
    gpu_letterbox: bool = False
    trusted_keys: tuple[str, ...] = ()
    fit: bool = True

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of load_engine."""
        options: dict[str, Any] = {"threads": self.threads} if self.threads else {}
        return options | ({"letterbox": True} if self.gpu_letterbox else {})


@dataclass(frozen=True)
class Model:
    """A model with its engine, and the request that opens the engine again after a failure. Closing twice is safe."""

    spec: ModelSpec
    engine: Engine
    request: ModelRequest
    _unclosed: threading.Semaphore = field(
        default_factory=lambda: threading.Semaphore(1), init=False, repr=False, compare=False
    )

    @property
    def name(self) -> str:
        """Name of the engine, for people."""
        return self.engine.info.name

    def reopened(self) -> Model:
        """The same model with a fresh engine; the old engine is closed or abandoned."""
        self.close()
        return replace(self, engine=open_engine(self.spec, self.request))

    def close(self) -> bool:
        """Close the engine; False when it did not stop within CLOSE_TIMEOUT and its thread was abandoned."""
        if not self._unclosed.acquire(blocking=False):
            return True
        thread = threading.Thread(target=self._close, name="closing", daemon=True)
        thread.start()
        thread.join(CLOSE_TIMEOUT)
        return not thread.is_alive()

    def _close(self) -> None:
        try:
            self.engine.close()
        except Exception:  # it has failed before, or refuses to be closed in mid-run: nothing more can be done
            pass


def open_model(request: ModelRequest) -> Model:
    """Load and try a model folder; PerceptionError has the cause and what to do."""
    if not request.folder:
        raise ModelError("parameter 'model' is empty: set it to a folder with model.json and model.onnx")
    spec = load_trusted(request.folder, request.trusted_keys)
    return Model(spec, open_engine(spec, request), request)


def open_engine(spec: ModelSpec, request: ModelRequest) -> Engine:
    """A warm engine; that of another input size is opened, and warmed up, when an image needs it."""
    if not request.fit:
        return _warm(spec, request.backend, **request.options)
    with unchanged(spec):
        return load_fitting(spec, request.backend, _warm, **request.options)


def _warm(spec: ModelSpec, backend: str, **options: Any) -> Engine:
    """An engine whose first run, with lazy allocations, is done here and not on the first image."""
    with unchanged(spec):
        engine = load_engine(spec, backend, **options)
        infer(engine, np.zeros(engine.input.shape, engine.input.dtype))
    return engine
