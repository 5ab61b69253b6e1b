"""A quick look at how the averaged network does; the real measurements are those of perception_models.evaluation.

Which weights are the best so far, and when there is no hope of better ones.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from perception_models.data import labels
from perception_models.losses import TASKS, LossConfig, task_losses
from perception_models.network import PerceptionNet
from perception_models.training.config import TrainConfig
from perception_models.training.loader import validation_batches


@torch.no_grad()
def validate(net: PerceptionNet, batches: list[dict[str, Tensor]], config: LossConfig) -> dict[str, float]:
    """Losses per task and IoU of the masks; `score` grows with quality (minus the sum of the mean losses)."""
    sums: dict[str, float] = {}
    counts = {task: torch.zeros(classes, 3) for task, classes in _mask_classes(net).items()}
    for batch in batches:
        outputs = net(batch["images"])
        for task, loss in task_losses(outputs, batch, config, net.config.strides).items():
            sums[f"loss/{task}"] = sums.get(f"loss/{task}", 0.0) + float(loss) / len(batches)
        for task in counts:
            counts[task] += _overlaps(outputs[task].argmax(1).cpu(), batch[task].cpu(), len(counts[task]))
    figures = {f"iou/{task}": _mean_iou(count) for task, count in counts.items()}
    return {**sums, **figures, "score": -sum(sums.get(f"loss/{task}", 0.0) for task in TASKS)}


def _mask_classes(net: PerceptionNet) -> dict[str, int]:
    names = {"drivable": labels.DRIVABLE, "semantic": labels.SEMANTIC}
    return {task: len(names[task]) for task in net.config.tasks if task in names}


def _overlaps(predicted: Tensor, target: Tensor, classes: int) -> Tensor:
    """(classes, 3) pixels in both, in the prediction, in the label, where labelled."""
    known = target != labels.IGNORE
    pair = target[known].long() * classes + predicted[known]
    matrix = torch.bincount(pair, minlength=classes**2).reshape(classes, classes).float()
    return torch.stack([matrix.diag(), matrix.sum(0), matrix.sum(1)], 1)


def _mean_iou(count: Tensor) -> float:
    """Mean over classes that are labelled somewhere; nan without labels."""
    union = count[:, 1] + count[:, 2] - count[:, 0]
    labelled = count[:, 2] > 0
    return float((count[labelled, 0] / union[labelled]).mean())


class Watch:
    """Scores of a run so far.

    best   the highest score; None before the first
    worse  validations since then
    """

    def __init__(self, config: TrainConfig):
        self.config = config
        self.best: float | None = None
        self.worse = 0
        self.batches: list[dict[str, Tensor]] = []

    def prepare(self, to_device: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
        """Read the validation pictures."""
        final = self.config.stages[-1]
        images = self.config.validate_images
        found = validation_batches(self.config.data, (final.height, final.width), images, 8)
        self.batches = [to_device(batch) for batch in found]

    def look(self, net: PerceptionNet, number: int) -> tuple[bool, dict[str, float]]:
        """Is the network after `number` steps the best so far? And its figures; without pictures the newest is."""
        figures = validate(net, self.batches, self.config.loss) if self.batches else {}
        score = figures.get("score", float(number))
        better = score > (float("-inf") if self.best is None else self.best)
        self.best, self.worse = (score, 0) if better else (self.best, self.worse + 1)
        return better, figures

    @property
    def hopeless(self) -> bool:
        """Worse for as long as `patience` allows?"""
        return 0 < self.config.patience <= self.worse
