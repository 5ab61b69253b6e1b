"""One scalar per task from raw outputs and labels; what is not labelled counts for nothing."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from perception_models.data import labels
from perception_models.losses.lanes import lane_losses
from perception_models.losses.masks import mask_loss
from perception_models.losses.objects import object_losses

TASKS = ("objects", "lights", "drivable", "semantic", "lanes", "scene")


@dataclass
class LossConfig:
    """Weights of parts inside a task; between tasks see balancing.

    one_to_many, one_to_one  weight of the twin that teaches and of the twin that is exported
    boxes                    weight of the box part against the class part
    choice                   weight of the choice between classes, where there is an object, against the class part
    drivable_alpha, semantic_alpha  Tversky weight of missed against invented pixels
    focal_gamma              of the mask heads; 0 is plain cross-entropy
    lane_rows, lane_exists, lane_type, lane_color  weights against the place of the line
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
    """Task: scalar loss, for every task whose outputs are there."""
    losses: dict[str, Tensor] = {}
    if "one_classes" in outputs:
        losses |= _object_tasks(outputs, batch, config, strides)
    for task, alpha in (("drivable", config.drivable_alpha), ("semantic", config.semantic_alpha)):
        if task in outputs:
            losses[task] = mask_loss(outputs[task], batch[task], config.focal_gamma, alpha)
    if "lane_heat" in outputs:
        parts = lane_losses(outputs, batch)
        losses["lanes"] = sum(part * getattr(config, f"lane_{name}", 1.0) for name, part in parts.items())
    if "weather" in outputs:
        losses["scene"] = scene_loss(outputs, batch)
    return losses


def _object_tasks(
    outputs: dict[str, Tensor], batch: dict[str, Tensor], config: LossConfig, strides: tuple[int, ...]
) -> dict[str, Tensor]:
    many, one = (object_losses(outputs, batch, strides, twin) for twin in ("many", "one"))
    weigh = lambda part: config.one_to_many * many[part] + config.one_to_one * one[part]  # noqa: E731
    objects = weigh("classes") + config.choice * weigh("choice") + config.boxes * weigh("boxes")
    return {"objects": objects, "lights": weigh("lights")}


def scene_loss(outputs: dict[str, Tensor], batch: dict[str, Tensor]) -> Tensor:
    """Mean cross-entropy of each attribute over the images that have it, summed over attributes."""
    loss = outputs["weather"].new_zeros((), dtype=outputs["weather"].float().dtype)
    for name in labels.SCENE:
        wanted = batch[name]
        each = F.cross_entropy(outputs[name].float(), wanted.clamp(min=0), reduction="none")
        loss = loss + (each * (wanted >= 0)).sum() / (wanted >= 0).sum().clamp(min=1)
    return loss


__all__ = ["TASKS", "LossConfig", "task_losses"]
