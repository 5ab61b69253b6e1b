"""Knowledge distillation from a larger network: outputs, boxes and features, with or without labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perception_models.config import SettingsError
from perception_models.data import labels
from perception_models.losses.assigner import Grid
from perception_models.losses.iou import complete_iou
from perception_models.network import PerceptionNet
from perception_models.network.blocks import fuse
from perception_models.network.box_coding import anchor_points, boxes_from_sides
from perception_models.training.config import DistillConfig

LEVEL = 1  # of the pyramid: stride 8, which all heads depend on


class TeacherOutputs(NamedTuple):
    """Pyramid and raw outputs of the teacher for these rows of a batch, and (height, width) of the images."""

    rows: Tensor
    pyramid: tuple[Tensor, ...]
    outputs: dict[str, Tensor]
    size: tuple[int, int]


class Teacher(nn.Module):
    """Distillation loss against a frozen network; an adapter maps student features to the teacher's channels.

    Only the adapter is part of the student's checkpoint and optimiser: the teacher keeps its own file. Its
    batch norms are folded in place.
    """

    def __init__(self, config: DistillConfig, teacher: PerceptionNet, student: PerceptionNet):
        super().__init__()
        if missing := set(student.config.tasks) - set(teacher.config.tasks):
            raise SettingsError(
                f"{config.teacher} lacks the tasks {', '.join(sorted(missing))}: remove them from network.tasks"
            )
        if teacher.config.strides != student.config.strides:
            raise SettingsError(f"{config.teacher} has other strides: use the same network.small_objects for both")
        self.config = config
        fuse(teacher.eval().requires_grad_(False))
        self._net = [teacher]  # in a list, to be neither a parameter nor a submodule
        self.adapter = nn.Conv2d(student.config.neck, teacher.config.neck, 1)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Teacher:
        self._net[0]._apply(fn)  # type: ignore[no-untyped-call]  # to the same device and memory layout
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch has no types for it
        return self

    @torch.no_grad()
    def predict(self, batch: dict[str, Tensor]) -> TeacherOutputs | None:
        """What the teacher sees on the images of a batch; None if it has nothing to say on any."""
        images = batch["images"]
        rows = torch.arange(len(images), device=images.device)
        if self.config.unlabelled and not self.config.features and not self.config.objects:
            rows = rows[incomplete(batch)]
        if not len(rows):
            return None
        pyramid = self._net[0].pyramid(images[rows])
        return TeacherOutputs(rows, pyramid, self._net[0].outputs(pyramid), (images.shape[1], images.shape[2]))

    def forward(
        self,
        taught: TeacherOutputs | None,
        pyramid: tuple[Tensor, ...],
        outputs: dict[str, Tensor],
        batch: dict[str, Tensor],
    ) -> Tensor:
        """Loss of the student's pyramid and raw outputs, over the images that the teacher has seen."""
        # The adapter stays connected, or several devices would wait for its gradient.
        nothing: Tensor = 0 * self.adapter(pyramid[LEVEL][:1].float()).mean()
        if taught is None:
            return nothing
        config, rows = self.config, taught.rows
        teacher = {name: value.float() for name, value in taught.outputs.items()}
        student = {name: value[rows].float() for name, value in outputs.items()}
        asked = {name: value[rows] for name, value in batch.items()} if config.unlabelled else None
        loss = nothing + config.logits * output_loss(student, teacher, config.temperature, config.confidence, asked)
        if config.features:
            features = self.adapter(pyramid[LEVEL][rows].float())
            loss = loss + config.features * feature_loss(features, taught.pyramid[LEVEL].float())
        grid = taught.size, self._net[0].config.strides
        for branch in ("many", "one"):
            if f"{branch}_classes" in student and f"{branch}_classes" in teacher:
                loss = loss + config.objects * object_loss(student, teacher, branch, grid, config.confidence)
        return loss


def incomplete(batch: dict[str, Tensor]) -> Tensor:
    """B bool: images without a map, with a line that nobody labelled or without a scene attribute."""
    unknown = [(batch[task] == labels.IGNORE).flatten(1).all(1) for task in ("drivable", "semantic")]
    unknown += [(batch["lane_exists"] < 0).any(1), *(batch[name] < 0 for name in labels.SCENE)]
    return torch.stack(unknown).any(0)


def feature_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Channel-wise KL divergence of the spatial distribution of activations (Shu et al. 2021, arXiv 2011.13256)."""
    student, teacher = student.flatten(2).log_softmax(-1), teacher.flatten(2).log_softmax(-1)
    return F.kl_div(student, teacher, reduction="sum", log_target=True) / student[..., 0].numel()


def output_loss(
    student: dict[str, Tensor],
    teacher: dict[str, Tensor],
    temperature: float,
    confidence: float,
    labelled: dict[str, Tensor] | None = None,
) -> Tensor:
    """Masks, lines and scene: softened KL divergence (Hinton et al. 2015) where the teacher is confident.

    labelled  batch with labels; where it has some, the teacher is not asked
    """
    loss = next(iter(student.values())).new_zeros(())
    for task in ("drivable", "semantic"):
        if task in student:
            asked = (teacher[task].softmax(1).amax(1) >= confidence).float()
            if labelled is not None:
                asked = asked * (labelled[task] == labels.IGNORE)
            loss = loss + divergence(student[task].movedim(1, -1), teacher[task].movedim(1, -1), asked, temperature)
    if "lane_heat" in student:
        asked = torch.ones_like(teacher["lane_exists"]) if labelled is None else (labelled["lane_exists"] < 0).float()
        loss = loss + _lane_loss(student, teacher, temperature, confidence, asked)
    for name in labels.SCENE:
        if name in student:
            asked = torch.ones_like(student[name][..., 0]) if labelled is None else (labelled[name] < 0).float()
            loss = loss + divergence(student[name], teacher[name], asked, temperature)
    return loss


def divergence(student: Tensor, teacher: Tensor, weight: Tensor, temperature: float) -> Tensor:
    """Weighted mean KL divergence over the last axis at a temperature, times its square to preserve gradient size."""
    pair = (student / temperature).log_softmax(-1), (teacher / temperature).log_softmax(-1)
    each = F.kl_div(*pair, reduction="none", log_target=True).sum(-1)
    return temperature**2 * (each * weight).sum() / weight.sum().clamp(min=1)


def _lane_loss(
    student: dict[str, Tensor], teacher: dict[str, Tensor], temperature: float, confidence: float, asked: Tensor
) -> Tensor:
    """asked  B L: 1 for lines to learn, else 0"""
    exists, row = teacher["lane_exists"].sigmoid(), teacher["lane_row"].sigmoid()
    lines = asked * exists * (exists >= confidence)
    rows = row * (row >= confidence) * lines.unsqueeze(-1)
    loss = divergence(student["lane_heat"], teacher["lane_heat"], rows, temperature)
    for name in ("lane_type", "lane_color"):
        loss = loss + divergence(student[name], teacher[name], lines, temperature)
    for name, target, weight in (
        ("lane_exists", exists, asked), ("lane_row", row, asked.unsqueeze(-1).expand_as(row))
    ):  # fmt: skip
        each = F.binary_cross_entropy_with_logits(student[name], target, weight, reduction="sum")
        loss = loss + each / weight.sum().clamp(min=1)
    return loss


def object_loss(
    student: dict[str, Tensor], teacher: dict[str, Tensor], branch: str, grid: Grid, confidence: float
) -> Tensor:
    """Scores of all anchors (quality focal: the largest differences count most); boxes and states of confident ones."""
    wanted = teacher[f"{branch}_classes"].sigmoid()
    best, class_id = wanted.max(-1)
    focus = (wanted - student[f"{branch}_classes"].detach().sigmoid()).square()
    scores = F.binary_cross_entropy_with_logits(student[f"{branch}_classes"], wanted, reduction="none") * focus
    confident = best * (best >= confidence)
    centers, scale = (t.to(wanted.device) for t in anchor_points(*grid))
    student_boxes, teacher_boxes = (
        boxes_from_sides(side[f"{branch}_sides"], centers, scale) for side in (student, teacher)
    )
    fit = (1 - complete_iou(student_boxes, teacher_boxes)) * confident
    teacher_states = teacher[f"{branch}_states"].sigmoid()
    states = F.binary_cross_entropy_with_logits(student[f"{branch}_states"], teacher_states, reduction="none").sum(-1)
    light = confident * (class_id == labels.LIGHT)
    objects = (scores.sum() + fit.sum()) / confident.sum().clamp(min=1)
    return objects + (states * light).sum() / light.sum().clamp(min=1)
