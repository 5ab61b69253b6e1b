"""Quick validation of the averaged network during training; perception_models.evaluation has the real metrics."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor

from perception_models.data import labels
from perception_models.losses import TASKS, LossConfig, task_losses
from perception_models.network import PerceptionNet
from perception_models.network.export_graph import ExportGraph
from perception_models.training.config import TrainConfig
from perception_models.training.loader import validation_batches

DRIVABLE_COLORS = np.array([(0, 0, 0), (90, 160, 0), (160, 110, 0)], np.uint8)  # BGR
COLORS = [(203, 121, 167), (180, 105, 255), (0, 94, 213), (0, 159, 230), (66, 228, 240), (233, 180, 86)]


class Validator:
    """Validates the averaged network and tracks the best score.

    best   the highest score; None before the first validation
    worse  validations since then
    """

    def __init__(self, config: TrainConfig):
        self.config = config
        self.best: float | None = None
        self.worse = 0
        self.batches: list[dict[str, Tensor]] = []

    def prepare(self, to_device: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
        """Load the validation images."""
        final = self.config.stages[-1]
        images = self.config.validate_images
        batches = validation_batches(self.config.data, (final.height, final.width), images, 8)
        self.batches = [to_device(batch) for batch in batches]

    def update(self, net: PerceptionNet, number: int) -> tuple[bool, dict[str, float]]:
        """(whether the network after `number` steps is the best so far, its metrics); without images always better."""
        metrics = validate(net, self.batches, self.config.loss) if self.batches else {}
        score = metrics.get("score", float(number))
        better = score > (float("-inf") if self.best is None else self.best)
        self.best, self.worse = (score, 0) if better else (self.best, self.worse + 1)
        return better, metrics

    @property
    def should_stop(self) -> bool:
        """Whether `patience` is exhausted."""
        return 0 < self.config.patience <= self.worse


@torch.no_grad()
def validate(net: PerceptionNet, batches: list[dict[str, Tensor]], config: LossConfig) -> dict[str, float]:
    """Losses per task, IoU of the masks, and `score`: minus the sum of the mean losses, so higher is better."""
    sums: dict[str, float] = {}
    counts = {task: torch.zeros(classes, 3) for task, classes in _mask_classes(net).items()}
    for batch in batches:
        outputs = net(batch["images"])
        for task, loss in task_losses(outputs, batch, config, net.config.strides).items():
            sums[f"loss/{task}"] = sums.get(f"loss/{task}", 0.0) + float(loss) / len(batches)
        for task in counts:
            counts[task] += _overlaps(outputs[task].argmax(1).cpu(), batch[task].cpu(), len(counts[task]))
    ious = {f"iou/{task}": _mean_iou(count) for task, count in counts.items()}
    return {**sums, **ious, "score": -sum(sums.get(f"loss/{task}", 0.0) for task in TASKS)}


def _mask_classes(net: PerceptionNet) -> dict[str, int]:
    names = {"drivable": labels.DRIVABLE, "semantic": labels.SEMANTIC}
    return {task: len(names[task]) for task in net.config.tasks if task in names}


def _overlaps(predicted: Tensor, target: Tensor, classes: int) -> Tensor:
    """(classes, 3) labelled pixels: in both, in the prediction, in the label."""
    known = target != labels.IGNORE
    pair = target[known].long() * classes + predicted[known]
    matrix = torch.bincount(pair, minlength=classes**2).reshape(classes, classes).float()
    return torch.stack([matrix.diag(), matrix.sum(0), matrix.sum(1)], 1)


def _mean_iou(count: Tensor) -> float:
    """Mean over the classes present in the labels; nan without labels."""
    union = count[:, 1] + count[:, 2] - count[:, 0]
    labelled = count[:, 2] > 0
    return float((count[labelled, 0] / union[labelled]).mean())


@torch.no_grad()
def contact_sheet(net: PerceptionNet, images: Tensor, threshold: float = 0.4) -> np.ndarray:
    """Predictions for images (B, H, W, 3) uint8 as one BGR image, two per row."""
    graph = ExportGraph(net, (images.shape[1], images.shape[2])).to(images.device)
    names, drawn = graph.output_names(), []
    for image in images:
        outputs = {name: value[0].float().cpu().numpy() for name, value in zip(names, graph(image[None]))}
        drawn.append(_draw(image.cpu().numpy().copy(), outputs, threshold))
    drawn += [np.zeros_like(drawn[0])] * (len(drawn) % 2)
    return np.vstack([np.hstack(drawn[i : i + 2]) for i in range(0, len(drawn), 2)])


def _draw(image: np.ndarray, outputs: dict[str, np.ndarray], threshold: float) -> np.ndarray:
    if "drivable" in outputs:
        tint = DRIVABLE_COLORS[outputs["drivable"].astype(int)]
        tint = cv2.resize(tint, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        image = cv2.addWeighted(image, 1, tint, 0.4, 0)
    if "lane_x" in outputs:
        _draw_lanes(image, outputs, threshold)
    if "boxes" in outputs:
        for box, score, class_id in zip(outputs["boxes"], outputs["scores"], outputs["classes"]):
            if score > threshold:
                corners = box.clip(-1, 4096).round().astype(int).tolist()
                cv2.rectangle(image, corners[:2], corners[2:], COLORS[int(class_id) % len(COLORS)], 1)
    return image


def _draw_lanes(image: np.ndarray, outputs: dict[str, np.ndarray], threshold: float) -> None:
    for slot in np.flatnonzero(outputs["lane_score"] > threshold):
        for row in np.flatnonzero(outputs["lane_row_score"][slot] > threshold):
            v = (row + 0.5) * image.shape[0] / outputs["lane_x"].shape[1]
            cv2.circle(image, (round(float(outputs["lane_x"][slot, row])), round(v)), 2, COLORS[slot], -1)
