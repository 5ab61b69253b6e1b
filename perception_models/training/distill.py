"""A larger network teaches a smaller one: on its outputs, its boxes and its features, with or without labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perception_models.config import SettingsError
from perception_models.data import labels
from perception_models.losses.iou import complete_iou
from perception_models.network import PerceptionNet
from perception_models.network.box_coding import boxes_from_sides, cell_centers
from perception_models.training.config import DistillConfig

LEVEL = 1  # of the pyramid: stride 8, which every head depends on


class Knowledge(NamedTuple):
    """What the teacher sees in a batch: its pyramid, its raw outputs, and (height, width) of the images."""

    pyramid: tuple[Tensor, ...]
    outputs: dict[str, Tensor]
    size: tuple[int, int]


class Teacher(nn.Module):
    """A fixed network whose view of each image is a target; an adapter makes the student's features comparable.

    Only the adapter is part of the student's checkpoint and optimiser: the teacher's weights stay in their own file.
    """

    def __init__(self, config: DistillConfig, teacher: PerceptionNet, student: PerceptionNet):
        super().__init__()
        if missing := set(student.config.tasks) - set(teacher.config.tasks):
            raise SettingsError(
                f"{config.teacher} does not know {', '.join(sorted(missing))}: distil fewer network.tasks"
            )
        if teacher.config.strides != student.config.strides:
            raise SettingsError(f"{config.teacher} has other cells: give both the same network.small_objects")
        self.config = config
        self._net = [teacher.eval().requires_grad_(False)]  # in a list: neither parameters nor state of this module
        self.adapter = nn.Conv2d(student.config.neck, teacher.config.neck, 1)

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Teacher:
        self._net[0]._apply(fn)  # to the same device and memory layout
        return super()._apply(fn, recurse)

    @torch.no_grad()
    def look(self, images: Tensor) -> Knowledge:
        """images B H W 3 uint8"""
        pyramid = self._net[0].pyramid(images)
        return Knowledge(pyramid, self._net[0].outputs(pyramid), (images.shape[1], images.shape[2]))

    def forward(self, known: Knowledge, pyramid: tuple[Tensor, ...], outputs: dict[str, Tensor]) -> Tensor:
        """The student's loss against what the teacher knows, over all images of the batch."""
        config, theirs = self.config, {name: value.float() for name, value in known.outputs.items()}
        mine = {name: value.float() for name, value in outputs.items()}
        loss = config.features * feature_loss(self.adapter(pyramid[LEVEL].float()), known.pyramid[LEVEL].float())
        loss = loss + config.logits * output_loss(mine, theirs, config.temperature, config.confidence)
        if "one_classes" in mine:
            strides = self._net[0].config.strides
            for twin in ("many", "one"):
                loss = loss + config.objects * object_loss(mine, theirs, twin, known.size, strides, config.confidence)
        return loss


def feature_loss(mine: Tensor, theirs: Tensor) -> Tensor:
    """Where in the picture is each channel active? Channel-wise KL divergence (Shu et al. 2021, arXiv 2011.13256)."""
    mine, theirs = mine.flatten(2).log_softmax(-1), theirs.flatten(2).log_softmax(-1)
    return F.kl_div(mine, theirs, reduction="sum", log_target=True) / mine[..., 0].numel()


def output_loss(mine: dict[str, Tensor], theirs: dict[str, Tensor], temperature: float, confidence: float) -> Tensor:
    """Masks, lines and scene: softened KL divergence (Hinton et al. 2015) where the teacher is sure."""
    loss = next(iter(mine.values())).new_zeros(())
    for task in ("drivable", "semantic"):
        if task in mine:
            sure = (theirs[task].softmax(1).amax(1) >= confidence).float()
            loss = loss + divergence(mine[task].movedim(1, -1), theirs[task].movedim(1, -1), sure, temperature)
    if "lane_heat" in mine:
        loss = loss + _lane_loss(mine, theirs, temperature, confidence)
    for name in labels.SCENE:
        if name in mine:
            loss = loss + divergence(mine[name], theirs[name], torch.ones_like(mine[name][..., 0]), temperature)
    return loss


def divergence(mine: Tensor, theirs: Tensor, weight: Tensor, temperature: float) -> Tensor:
    """Weighted mean KL divergence of the last axis at a temperature, times its square so that gradients keep size."""
    pair = (mine / temperature).log_softmax(-1), (theirs / temperature).log_softmax(-1)
    each = F.kl_div(*pair, reduction="none", log_target=True).sum(-1)
    return temperature**2 * (each * weight).sum() / weight.sum().clamp(min=1)


def _lane_loss(mine: dict[str, Tensor], theirs: dict[str, Tensor], temperature: float, confidence: float) -> Tensor:
    exists, row = theirs["lane_exists"].sigmoid(), theirs["lane_row"].sigmoid()
    there = exists * (exists >= confidence)
    rows = row * (row >= confidence) * there.unsqueeze(-1)
    loss = divergence(mine["lane_heat"], theirs["lane_heat"], rows, temperature)
    for name, weight in (("lane_type", there), ("lane_color", there)):
        loss = loss + divergence(mine[name], theirs[name], weight, temperature)
    for name, target in (("lane_exists", exists), ("lane_row", row)):
        loss = loss + F.binary_cross_entropy_with_logits(mine[name], target)
    return loss


def object_loss(
    mine: dict[str, Tensor],
    theirs: dict[str, Tensor],
    twin: str,
    size: tuple[int, int],
    strides: tuple[int, ...],
    confidence: float,
) -> Tensor:
    """Scores of all cells (quality focal: what differs most counts most), boxes and light states of sure cells."""
    wanted = theirs[f"{twin}_classes"].sigmoid()
    best, kind = wanted.max(-1)
    focus = (wanted - mine[f"{twin}_classes"].detach().sigmoid()).square()
    scores = F.binary_cross_entropy_with_logits(mine[f"{twin}_classes"], wanted, reduction="none") * focus
    sure = best * (best >= confidence)
    norm = sure.sum().clamp(min=1)
    centers, scale = (t.to(wanted.device) for t in cell_centers(size, strides))
    boxes = [boxes_from_sides(side[f"{twin}_sides"], centers, scale) for side in (mine, theirs)]
    states = [side[f"{twin}_states"] for side in (mine, theirs)]
    light = sure * (kind == labels.LIGHT)
    unlike = F.binary_cross_entropy_with_logits(states[0], states[1].sigmoid(), reduction="none").sum(-1)
    fit = (1 - complete_iou(*boxes)) * sure
    return (scores.sum() + fit.sum()) / norm + (unlike * light).sum() / light.sum().clamp(min=1)
