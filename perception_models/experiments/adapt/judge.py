"""Figures of a network on labelled images with the decoders and thresholds of a model folder, and what may be kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from camera_perception.core.model_spec import ModelSpec
from perception_models.data import collate, targets
from perception_models.data.sample import Sample
from perception_models.evaluation.model import Predictor
from perception_models.evaluation.records import headlines, record, summarise
from perception_models.export.export import deployable
from perception_models.losses import LossConfig
from perception_models.network import PerceptionNet
from perception_models.network.export_graph import ExportGraph
from perception_models.training.validation import validate

MOST_LOST = 0.02  # of any single metric, 0..1: a few images have few objects, so that one object moves a metric
SLICES = ("_small", "_medium", "_large")  # ends of the names of metrics of a part of the objects; the mean has them
BATCH = 8


@dataclass(frozen=True)
class Figures:
    """loss: sum over the labelled tasks, lower is better; metrics: headline name to 0..1, higher is better."""

    loss: float
    metrics: dict[str, float]

    @property
    def mean(self) -> float:
        """Mean of all metrics."""
        return float(np.mean(list(self.metrics.values()))) if self.metrics else float("nan")


@dataclass
class Judge:
    """Measures networks of one architecture on fixed images.

    spec  of the model folder whose decoders, calibration and thresholds are used
    """

    spec: ModelSpec
    samples: Sequence[Sample]
    title: str = "held out"
    _batches: list[dict[str, Tensor]] = field(default_factory=list)

    def __post_init__(self) -> None:
        size = self.spec.input.height, self.spec.input.width
        parts = [self.samples[i : i + BATCH] for i in range(0, len(self.samples), BATCH)]
        self._batches = [collate([targets(sample, size) for sample in part]) for part in parts]

    def __call__(self, net: PerceptionNet) -> Figures:
        """Figures of the network on all images."""
        predict = Predictor(self.spec, runner(net, self.spec))
        bar = tqdm(self.samples, desc=self.title, unit="image", leave=False, disable=None)
        records = [record(predict(sample.image), sample, predict) for sample in bar]
        found = headlines(summarise(records, predict.threshold("objects"), curves=False))
        found = {name: value for name, value in found.items() if np.isfinite(value)}
        return Figures(-validate(net, self._batches, LossConfig())["score"], found)


def exported_on_road(spec: ModelSpec) -> bool:
    """Whether the model was exported with on_road=true: only what its semantic map calls road is drivable."""
    return bool(spec.training.get("export", {}).get("on_road"))


def runner(net: PerceptionNet, spec: ModelSpec) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """The network as an inference engine: input buffer to ONNX output name: array."""
    size = spec.input.height, spec.input.width
    graph = ExportGraph(deployable(net), size, on_road=exported_on_road(spec)).eval()

    @torch.no_grad()
    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        return {
            name: value.numpy() for name, value in zip(graph.output_names(), graph(torch.from_numpy(images.copy())))
        }

    return run


def belongs(net: PerceptionNet, spec: ModelSpec, most: float = 0.02) -> bool:
    """Whether a network gives the masks of the reference outputs of a model folder, but for `most` of the pixels."""
    from camera_perception.engines.reference import read_reference

    if spec.reference is None:
        return True
    reference = read_reference(spec.reference)
    masks = [name for name, array in reference.outputs.items() if array.dtype == np.uint8]
    images = reference.images[:1]
    found: Mapping[str, Any] = runner(net, spec)(images)
    pairs = [(found.get(name), reference.outputs[name][:1]) for name in masks]
    return all(new is not None and new.shape == old.shape and (new != old).mean() <= most for new, old in pairs)


def reason_against(before: Figures, after: Figures) -> str:
    """Why `after` is not better than `before`, as one phrase; empty if it is."""
    if after.loss > before.loss:
        return f"the loss rose from {before.loss:.3f} to {after.loss:.3f}"
    if after.mean < before.mean:
        return f"the mean of the metrics fell from {before.mean:.3f} to {after.mean:.3f}"
    whole = {name: value for name, value in before.metrics.items() if not name.endswith(SLICES)}
    lost = {name: value - after.metrics.get(name, 0.0) for name, value in whole.items()}
    worst = max(lost, key=lambda name: lost[name], default="")
    if worst and lost[worst] > MOST_LOST:
        return f"{worst} fell from {before.metrics[worst]:.3f} to {after.metrics.get(worst, 0.0):.3f}"
    return ""
