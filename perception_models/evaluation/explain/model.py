"""A model folder or a checkpoint as a function from pictures of its own size to what it says, even if faintly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from camera_perception.core.model_spec import ModelSpec, load_spec, spec_from_json
from camera_perception.core.types import Observations
from camera_perception.decode.heads import decode_all
from camera_perception.engines import infer
from camera_perception.engines.select import load_engine
from camera_perception.image.letterbox import Letterbox, Preprocessor

if TYPE_CHECKING:
    from perception_models.network import PerceptionNet

Run = Callable[[np.ndarray], dict[str, np.ndarray]]
FAINT = {"objects": 0.005, "lanes": 0.02, "scene": 0.0}


class Looker:
    """run: input buffer (1, ...) to ONNX output name: (1, ...)."""

    def __init__(self, spec: ModelSpec, run: Run):
        self.spec, self.run = spec, run
        self._preprocess = Preprocessor(spec.input)
        self._buffer = np.zeros(spec.input.shape, spec.input.dtype)

    def __call__(self, picture: np.ndarray) -> Observations:
        """What is said about a (H, W, 3) uint8 BGR picture, down to FAINT scores."""
        letterbox = self._preprocess(picture, self._buffer[0])
        first = {name: array[0] for name, array in self.run(self._buffer).items()}
        return decode_all(first, self.spec, letterbox, FAINT)

    @property
    def thresholds(self) -> dict[str, float]:
        """From which score on the vehicle reports objects and lines."""
        heads = {name: self.spec.head(name) for name in ("objects", "lanes")}
        return {name: head.threshold if head else 1.0 for name, head in heads.items()}

    def fitted(self, image: np.ndarray) -> np.ndarray:
        """The image as large as fits into the network's input, on grey where it does not fill it."""
        size = self.spec.input.size
        box = Letterbox.fit(image.shape[:2], size, self.spec.input.align)
        out = np.full((*size, 3), self.spec.input.pad, np.uint8)
        out[box.content] = cv2.resize(image, (box.width, box.height), interpolation=cv2.INTER_AREA)
        return out


@contextmanager
def open_folder(folder: Path, engine: str = "onnxruntime") -> Iterator[Looker]:
    """A model folder; needs no torch."""
    spec = load_spec(folder)
    loaded = load_engine(spec, engine)
    try:
        yield Looker(spec, lambda images: infer(loaded, images))
    finally:
        loaded.close()


def of_network(net: PerceptionNet, size: tuple[int, int]) -> Looker:
    """A network as it is, without export."""
    import torch

    from perception_models.export.model_json import model_outputs
    from perception_models.network.export_graph import ExportGraph

    final = ExportGraph(net, size).eval()
    data = {
        "schema": 1, "name": "network", "version": "0", "license": "none",
        "onnx": {"file": "model.onnx", "sha256": "0" * 64},
        "input": {"name": "images", "height": size[0], "width": size[1]},
        "outputs": model_outputs(net.config.tasks, {}),
    }  # fmt: skip

    @torch.no_grad()
    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        values = final(torch.from_numpy(images))
        return {name: value.numpy() for name, value in zip(final.output_names(), values)}

    return Looker(spec_from_json(data, Path(".")), run)
