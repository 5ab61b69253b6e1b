"""The input size that fits the images: one network at several sizes, and for each image the one that shows it largest.

A 4:3 image fills only three quarters of an input of 16:9. The same network at an input of 4:3 with as many pixels takes
the same time and sees the image larger.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from camera_perception.core.errors import EngineError, ModelError
from camera_perception.core.model_spec import InputSpec, ModelSpec, load_other_sizes
from camera_perception.engines import Engine, Slot
from camera_perception.engines.select import load_engine, name_of
from camera_perception.image.letterbox import Preprocessor

LEAST_GAIN = 1.03  # of the scale of images; less is not worth a second engine

log = logging.getLogger(__name__)


def best_size(sizes: Sequence[ModelSpec], image_size: tuple[int, int]) -> ModelSpec:
    """The size whose letterbox shows images (height, width) largest; the first one unless another gains LEAST_GAIN."""

    def scale(spec: ModelSpec) -> float:
        return min(spec.input.height / image_size[0], spec.input.width / image_size[1])

    best = max(sizes, key=scale)
    return best if scale(best) >= LEAST_GAIN * scale(sizes[0]) else sizes[0]


class FittingEngine:
    """The engine of the input size that `fit` chose last. See engines.Engine.

    Sizes are opened when an image first needs them, and kept. One that cannot be opened is named in the log, once; the
    engine of the model folder then takes its images.

    engine  of the model folder, which is sizes[0]
    load    opens the engine of another size
    """

    def __init__(self, engine: Engine, sizes: Sequence[ModelSpec], load: Callable[[ModelSpec], Engine]) -> None:
        self._sizes, self._load = sizes, load
        self._engines = {sizes[0].folder: engine}
        self._use(engine)

    def _use(self, engine: Engine) -> None:
        self.current = engine
        self.info, self.spec, self.slots = engine.info, engine.spec, engine.slots
        self.input, self.outputs = engine.input, engine.outputs

    def fit(self, image_size: tuple[int, int]) -> InputSpec:
        """Change to the size that fits images (height, width) best; its input. Not between acquire and release."""
        best = best_size(self._sizes, image_size)
        if best.folder not in self._engines:
            self._engines[best.folder] = self._opened(best)
        if self._engines[best.folder] is not self.current:
            self._use(self._engines[best.folder])
        return self.spec.input

    def _opened(self, size: ModelSpec) -> Engine:
        main = self._engines[self._sizes[0].folder]
        try:
            return self._load(size)
        except (EngineError, ModelError) as error:
            there, used = (f"{each.input.width}x{each.input.height}" for each in (size, self._sizes[0]))
            log.warning("images are larger in the input size %s, but %s is used: %s", there, used, error)
            return main

    def acquire(self) -> Slot:
        return self.current.acquire()

    def submit(self, slot: Slot) -> None:
        self.current.submit(slot)

    def wait(self, slot: Slot) -> None:
        self.current.wait(slot)

    def release(self, slot: Slot) -> None:
        self.current.release(slot)

    def close(self) -> None:
        """Close the engines of all sizes."""
        for engine in set(self._engines.values()):
            engine.close()


def load_fitting(
    spec: ModelSpec, backend: str = "auto", load: Callable[..., Engine] = load_engine, **options: Any
) -> Engine:
    """As load_engine, and with other_sizes in model.json an engine that fits images; all sizes use the same backend."""
    sizes = (spec, *load_other_sizes(spec))
    engine = load(spec, backend, **options)
    if len(sizes) == 1:
        return engine
    same = name_of(engine.info) if backend == "auto" else backend
    return FittingEngine(engine, sizes, lambda size: load(size, same, **options))


def fitted(preprocess: Preprocessor, engine: Engine, image_size: tuple[int, int]) -> Preprocessor:
    """The preprocessor for the next image (height, width), after the engine has changed to the size that fits it."""
    if not isinstance(engine, FittingEngine):
        return preprocess
    wanted = engine.fit(image_size)
    return preprocess if wanted == preprocess.spec else Preprocessor(wanted)
