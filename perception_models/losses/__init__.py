"""Loss of every task from raw outputs and labels; unlabelled parts contribute nothing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from perception_models.data import labels
from perception_models.losses.lanes import lane_losses
from perception_models.losses.masks import mask_loss
from perception_models.losses.objects import object_losses

TASKS = ("objects", "lights", "drivable", "semantic", "lanes", "scene")


@dataclass
class LossConfig:
    """Weights within each task; for weights between tasks see BalanceConfig.

    one_to_many, one_to_one  weight of each branch of the object head (network.branches)
    boxes                    box regression, relative to classification
    choice                   softmax cross-entropy between classes at assigned anchors, relative to classification
    drivable_alpha, semantic_alpha  Tversky weight of false negatives against false positives
    focal_gamma              of the mask heads; 0: plain cross-entropy
    lane_rows, lane_exists, lane_type, lane_color  relative to the position of the line
    """

    one_to_many: float = 1.0
    one_to_one: float = 1.0
    boxes: float = 2.0
    choice: float = 0.0
    drivable_alpha: float = 0.5
    semantic_alpha: float = 0.5
    focal_gamma: float = 0.0
    lane_rows: float = 1.0
    lane_exists: float = 1.0
    lane_type: float = 1.0
    lane_color: float = 0.5


def task_losses(
    outputs: dict[str, Tensor], batch: dict[str, Tensor], config: LossConfig, strides: tuple[int, ...]
) -> dict[str, Tensor]:
    """Scalar loss by task, for every task with outputs."""
    losses: dict[str, Tensor] = {}
    if "many_classes" in outputs or "one_classes" in outputs:
        losses |= _object_tasks(outputs, batch, config, strides)
    for task, alpha in (("drivable", config.drivable_alpha), ("semantic", config.semantic_alpha)):
        if task in outputs:
            losses[task] = mask_loss(outputs[task], batch[task], config.focal_gamma, alpha)
    if "lane_heat" in outputs:
        losses["lanes"] = _lane_task(outputs, batch, config)
    if "weather" in outputs:
        losses["scene"] = scene_loss(outputs, batch)
    return losses


def _object_tasks(
    outputs: dict[str, Tensor], batch: dict[str, Tensor], config: LossConfig, strides: tuple[int, ...]
) -> dict[str, Tensor]:
    weights = {"many": config.one_to_many, "one": config.one_to_one}
    branches = {name: object_losses(outputs, batch, strides, name) for name in weights if f"{name}_classes" in outputs}
    both = {
        part: torch.stack([weights[name] * losses[part] for name, losses in branches.items()]).sum()
        for part in next(iter(branches.values()))
    }
    objects = both["classes"] + config.choice * both["choice"] + config.boxes * both["boxes"]
    return {"objects": objects, "lights": both["lights"]}


def _lane_task(outputs: dict[str, Tensor], batch: dict[str, Tensor], config: LossConfig) -> Tensor:
    weights = {"rows": config.lane_rows, "exists": config.lane_exists}
    weights |= {"type": config.lane_type, "color": config.lane_color}
    total, *others = (part * weights.get(name, 1.0) for name, part in lane_losses(outputs, batch).items())
    return sum(others, start=total)


def scene_loss(outputs: dict[str, Tensor], batch: dict[str, Tensor]) -> Tensor:
    """Cross-entropy of each attribute, averaged over the images that have it and summed over attributes."""
    loss = outputs["weather"].new_zeros((), dtype=outputs["weather"].float().dtype)
    for name in labels.SCENE:
        target = batch[name]
        each = F.cross_entropy(outputs[name].float(), target.clamp(min=0), reduction="none")
        loss = loss + (each * (target >= 0)).sum() / (target >= 0).sum().clamp(min=1)
    return loss


__all__ = ["TASKS", "LossConfig", "task_losses"]
