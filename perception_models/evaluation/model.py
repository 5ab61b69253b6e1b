"""A model under test as a function from images to observations, wherever its weights come from."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from camera_perception.core.errors import ModelError
from camera_perception.core.model_spec import InputSpec, ModelSpec, load_spec
from camera_perception.core.types import Observations
from camera_perception.decode.heads import decode_all
from camera_perception.engines import infer
from camera_perception.engines.serving.fitting import FittingEngine, load_fitting
from camera_perception.image.letterbox import Preprocessor

MIN_SCORES = {"objects": 0.005, "scene": 0.0}  # low enough for the whole precision-recall curve


@dataclass
class Predictor:
    """Runs a network with the preprocessing and decoding of the vehicle.

    run         input buffer (B, ...) -> ONNX output name: (B, ...)
    fit         called with the size (height, width) of each image before `run`: the input that `run` then expects
    min_scores  lowest score reported per head; other heads use their threshold of model.json
    """

    spec: ModelSpec
    run: Callable[[np.ndarray], dict[str, np.ndarray]]
    min_scores: Mapping[str, float] = field(default_factory=lambda: MIN_SCORES)
    fit: Callable[[tuple[int, int]], InputSpec] | None = None
    _preprocess: Preprocessor = field(init=False)
    _buffer: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self._prepare(self.spec.input)

    def _prepare(self, wanted: InputSpec) -> None:
        self._preprocess = Preprocessor(wanted)
        self._buffer = np.zeros(wanted.shape, wanted.dtype)

    def __call__(self, image: np.ndarray) -> Observations:
        """Observations in a (H, W, 3) uint8 BGR image, down to min_scores."""
        if self.fit is not None and (wanted := self.fit(image.shape[:2])) != self._preprocess.spec:
            self._prepare(wanted)
        letterbox = self._preprocess(image, self._buffer[0])
        first = {name: array[0] for name, array in self.run(self._buffer).items()}
        return decode_all(first, self.spec, letterbox, dict(self.min_scores))

    def threshold(self, head: str) -> float:
        """Operating point of a head: the lowest score that the vehicle reports."""
        spec = self.spec.head(head)
        return spec.threshold if spec else 1.0


@contextmanager
def open_model(
    path: Path | str, engine: str = "onnxruntime", min_scores: Mapping[str, float] = MIN_SCORES
) -> Iterator[Predictor]:
    """Load a model folder, an .onnx file inside one, a training checkpoint, or the folder of a training run.

    Checkpoints are exported to a temporary folder first.
    """
    path = Path(path)
    if path.suffix == ".onnx":
        path = path.parent
    with tempfile.TemporaryDirectory() as exported:
        if (path / "model.json").is_file():
            folder = path
        elif checkpoint := _checkpoint(path):
            folder = Path(exported)
            _export(checkpoint, folder)
        else:
            raise ModelError(f"{path}: expected a model folder, an ONNX file beside its model.json, or a checkpoint")
        spec = load_spec(folder)
        loaded = load_fitting(spec, engine)
        fit = loaded.fit if isinstance(loaded, FittingEngine) else None
        try:
            yield Predictor(spec, lambda images: infer(loaded, images), min_scores, fit)
        finally:
            loaded.close()


def _checkpoint(path: Path) -> Path | None:
    """The file itself, or the best checkpoint of a run."""
    candidates = [path] if path.suffix == ".safetensors" else [path / "best.safetensors", path / "last.safetensors"]
    return next((file for file in candidates if file.is_file()), None)


def _export(checkpoint: Path, folder: Path) -> None:
    from perception_models.export.export import export

    export(checkpoint, folder)
