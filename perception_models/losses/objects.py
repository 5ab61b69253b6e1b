"""Loss of the object head: class scores, boxes and traffic-light states of both branches."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from perception_models.data import labels
from perception_models.losses.assigner import Assignment, Grid, assign
from perception_models.losses.iou import complete_iou
from perception_models.network.box_coding import anchor_points, anchors_inside, boxes_from_sides

TOP = {"many": 10, "one": 1}  # anchors per object, by branch


def object_losses(
    outputs: dict[str, Tensor], batch: dict[str, Tensor], strides: tuple[int, ...], branch: str
) -> dict[str, Tensor]:
    """Scalars `classes`, `choice`, `boxes` (CIoU and L1) and `lights` of one branch; 0 without labels."""
    size = int(batch["images"].shape[1]), int(batch["images"].shape[2])
    centers, scale = (t.to(batch["boxes"].device) for t in anchor_points(size, strides))
    logits, sides, states = (outputs[f"{branch}_{name}"].float() for name in ("classes", "sides", "states"))
    predicted, probabilities = boxes_from_sides(sides, centers, scale), logits.detach().sigmoid()
    valid = (batch["classes"] >= 0) & ~batch["ignored"] & batch["has_boxes"].unsqueeze(1)
    grid = size, strides
    target = assign(probabilities, predicted.detach(), grid, batch["boxes"], batch["classes"], valid, TOP[branch])
    norm = target.weight.sum().clamp(min=1)
    return {
        "classes": _varifocal_loss(logits, probabilities, target.scores, _counted(batch, grid, target)) / norm,
        "choice": _choice_loss(logits, target, batch) / norm,
        "boxes": _box_loss(predicted, sides, target, batch["boxes"], centers, scale) / norm,
        "lights": _light_loss(states, target, batch["light_states"]),
    }


def _varifocal_loss(logits: Tensor, probabilities: Tensor, scores: Tensor, counted: Tensor) -> Tensor:
    """Varifocal cross-entropy (Zhang et al. 2021, arXiv 2008.13367): confident negatives get a small weight."""
    weight = torch.where(scores > 0, scores, 0.75 * probabilities.square()) * counted
    return F.binary_cross_entropy_with_logits(logits, scores, weight, reduction="sum")


def _choice_loss(logits: Tensor, target: Assignment, batch: dict[str, Tensor]) -> Tensor:
    """Cross-entropy between classes, summed over assigned anchors and weighted by the target score.

    An object has one class, which the varifocal loss hardly enforces (a bus may look like a truck, too): a wrong class
    of probability p weighs 0.75 p^2, and there is one such anchor among thousands without any object.
    """
    image, anchor = target.assigned.nonzero(as_tuple=True)
    wanted = batch["classes"][image, target.rows[image, anchor]]
    possible = batch["known_classes"][image].scatter(1, wanted.unsqueeze(1), True)
    each = F.cross_entropy(logits[image, anchor].masked_fill(~possible, -1e4), wanted, reduction="none")
    return (each * target.weight[image, anchor]).sum() + 0 * logits.sum()


def _counted(batch: dict[str, Tensor], grid: Grid, target: Assignment) -> Tensor:
    """B A C bool: False where the labels are incomplete (no boxes, class not labelled) or in an ignored object."""
    image, row = (batch["ignored"] & (batch["classes"] >= 0)).nonzero(as_tuple=True)
    number, anchor = anchors_inside(batch["boxes"][image, row], *grid)
    hidden = torch.zeros_like(target.assigned)
    hidden[image[number], anchor] = True
    # A data set with only some classes labelled gives no negatives for the others, but its own boxes count.
    counted = (target.scores > 0).logical_or_(batch["known_classes"].unsqueeze(1))
    return counted.logical_and_((batch["has_boxes"].unsqueeze(1) & (target.assigned | ~hidden)).unsqueeze(-1))


def _box_loss(
    predicted: Tensor, sides: Tensor, target: Assignment, boxes: Tensor, centers: Tensor, scale: Tensor
) -> Tensor:
    """CIoU loss and L1 of the log distances, summed over assigned anchors and weighted by the target score."""
    image, anchor = target.assigned.nonzero(as_tuple=True)
    wanted = boxes[image, target.rows[image, anchor]]
    center, size = centers[anchor], scale[anchor].unsqueeze(-1)
    weight = target.weight[image, anchor]
    ciou = 2 * (1 - complete_iou(predicted[image, anchor], wanted))
    distance = torch.cat([center - wanted[:, :2], wanted[:, 2:] - center], -1) / size
    # Anchors of tiny objects may lie outside them; their distances are then clamped to a tenth of a stride.
    log_distance = distance.clamp(min=0.1).log()
    l1 = F.smooth_l1_loss(sides[image, anchor], log_distance, reduction="none", beta=0.1).mean(-1)
    return ((ciou + l1) * weight).sum() + 0 * sides.sum()


def _light_loss(states: Tensor, target: Assignment, wanted: Tensor) -> Tensor:
    """Mean cross-entropy of the four states over anchors assigned to a traffic light of known state."""
    state = wanted.gather(1, target.rows)
    image, anchor = (target.assigned & (state >= 0)).nonzero(as_tuple=True)
    one_hot = F.one_hot(state[image, anchor], len(labels.LIGHT_STATES)).float()
    loss = F.binary_cross_entropy_with_logits(states[image, anchor], one_hot, reduction="none").sum(-1)
    return loss.sum() / max(len(image), 1) + 0 * states.sum()
