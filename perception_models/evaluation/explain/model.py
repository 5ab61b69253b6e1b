"""Predictors for explanations: they report low scores too, and run on images of the network's input size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from camera_perception.core.model_spec import InputSpec, spec_from_json
from camera_perception.image.letterbox import Letterbox
from perception_models.evaluation.model import Predictor

if TYPE_CHECKING:
    from perception_models.network import PerceptionNet

LOW_SCORES = {"objects": 0.005, "lanes": 0.02, "scene": 0.0}


def network_predictor(net: PerceptionNet, size: tuple[int, int]) -> Predictor:
    """A predictor for a network without export; size (height, width) of its input."""
    import torch

    from perception_models.export.model_json import model_outputs
    from perception_models.network.export_graph import ExportGraph

    graph = ExportGraph(net, size).eval()
    data = {
        "schema": 1, "name": "network", "version": "0", "license": "none",
        "onnx": {"file": "model.onnx", "sha256": "0" * 64},
        "input": {"name": "images", "height": size[0], "width": size[1]},
        "outputs": model_outputs(net.config.tasks, {}),
    }  # fmt: skip

    @torch.no_grad()
    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        values = graph(torch.from_numpy(images))
        return {name: value.numpy() for name, value in zip(graph.output_names(), values)}

    return Predictor(spec_from_json(data, Path(".")), run, LOW_SCORES)


def content(image: np.ndarray, spec: InputSpec) -> tuple[slice, slice]:
    """Rows and columns of a network's input that an image fills; the rest is grey padding."""
    return Letterbox.fit(image.shape[:2], spec.size, spec.align).content


def fit_to_input(image: np.ndarray, spec: InputSpec) -> np.ndarray:
    """The image letterboxed to the input size of a network."""
    box = Letterbox.fit(image.shape[:2], spec.size, spec.align)
    out = np.full((*spec.size, 3), spec.pad, np.uint8)
    out[box.content] = cv2.resize(image, (box.width, box.height), interpolation=cv2.INTER_AREA)
    return out
