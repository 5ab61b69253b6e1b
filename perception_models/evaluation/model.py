"""Whatever can be evaluated, as one thing: a model.json, and a function from images to its outputs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from camera_perception.core.errors import ModelError
from camera_perception.core.model_spec import ModelSpec, load_spec
from camera_perception.core.types import Observations
from camera_perception.decode.heads import decode_all
from camera_perception.engines import infer
from camera_perception.engines.select import load_engine
from camera_perception.image.letterbox import Letterbox, Preprocessor

LOWEST = 0.005  # object score from which on boxes enter the precision-recall curve


@dataclass
class Model:
    """Sees an image with the vehicle's own preprocessing and decoder.

    run  input buffer (1, ...) -> ONNX output name: (1, ...)
    """

    spec: ModelSpec
    run: Callable[[np.ndarray], dict[str, np.ndarray]]
    _preprocess: Preprocessor = field(init=False)
    _buffer: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self._preprocess = Preprocessor(self.spec.input)
        self._buffer = np.zeros(self.spec.input.shape, self.spec.input.dtype)

    def see(self, image: np.ndarray) -> Observations:
        """What the model says about a (H, W, 3) uint8 BGR image; objects down to LOWEST, scene in any case."""
        letterbox: Letterbox = self._preprocess(image, self._buffer[0])
        outputs = self.run(self._buffer)
        first = {name: array[0] for name, array in outputs.items()}
        return decode_all(first, self.spec, letterbox, {"objects": LOWEST, "scene": 0.0})

    def threshold(self, head: str) -> float:
        """The operating point of a head: what the vehicle reports by default."""
        spec = self.spec.head(head)
        return spec.threshold if spec else 1.0


@contextmanager
def open_model(path: Path | str, engine: str = "onnxruntime") -> Iterator[Model]:
    """A model folder, an .onnx file inside one, or a training checkpoint (exported to a temporary
    folder), or the folder of a training run."""
    path = Path(path)
    if path.suffix == ".onnx":
        path = path.parent
    if (path / "model.json").is_file():
        yield _open_folder(path, engine)
    elif checkpoint := _checkpoint(path):
        with tempfile.TemporaryDirectory() as folder:
            _export(checkpoint, Path(folder))
            yield _open_folder(Path(folder), engine)
    else:
        raise ModelError(f"{path}: expected a model folder, an ONNX file beside its model.json, or a checkpoint")


def _open_folder(path: Path, engine: str) -> Model:
    spec = load_spec(path)
    loaded = load_engine(spec, engine)
    return Model(spec, lambda images: infer(loaded, images))


def _checkpoint(path: Path) -> Path | None:
    """The file itself, or the best network of a run's folder."""
    places = [path] if path.suffix == ".safetensors" else [path / "best.safetensors", path / "last.safetensors"]
    return next((place for place in places if place.is_file()), None)


def _export(checkpoint: Path, folder: Path) -> None:
    from perception_models.export.export import export

    export(checkpoint, folder)
