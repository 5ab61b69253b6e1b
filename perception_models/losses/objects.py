"""Loss of the object head: class scores, boxes and traffic-light states of both twins."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from perception_models.data import labels
from perception_models.losses.assigner import Assignment, Grid, assign
from perception_models.losses.iou import complete_iou
from perception_models.network.box_coding import boxes_from_sides, cell_centers, cells_inside

TOP = {"many": 10, "one": 1}


def object_losses(
    outputs: dict[str, Tensor], batch: dict[str, Tensor], strides: tuple[int, ...], twin: str
) -> dict[str, Tensor]:
    """Scalars `classes`, `choice`, `boxes` (CIoU and L1), `lights` of one twin; 0 where nothing is labelled."""
    size = int(batch["images"].shape[1]), int(batch["images"].shape[2])
    centers, scale = (t.to(batch["boxes"].device) for t in cell_centers(size, strides))
    logits, sides, states = (outputs[f"{twin}_{name}"].float() for name in ("classes", "sides", "states"))
    predicted, probabilities = boxes_from_sides(sides, centers, scale), logits.detach().sigmoid()
    valid = (batch["classes"] >= 0) & ~batch["ignored"] & batch["has_boxes"].unsqueeze(1)
    grid = size, strides
    given = assign(probabilities, predicted.detach(), grid, batch["boxes"], batch["classes"], valid, TOP[twin])
    norm = given.weight.sum().clamp(min=1)
    return {
        "classes": _focused(logits, probabilities, given.scores, _counted_cells(batch, grid, given)) / norm,
        "choice": _choice_loss(logits, given, batch) / norm,
        "boxes": _box_loss(predicted, sides, given, batch["boxes"], centers, scale) / norm,
        "lights": _light_loss(states, given, batch["light_states"]),
    }


def _focused(logits: Tensor, probabilities: Tensor, scores: Tensor, counts: Tensor) -> Tensor:
    """Varifocal cross-entropy (Zhang et al. 2021, arXiv 2008.13367) of what counts: sure negatives count little."""
    weight = torch.where(scores > 0, scores, 0.75 * probabilities.square()) * counts
    return F.binary_cross_entropy_with_logits(logits, scores, weight, reduction="sum")


def _choice_loss(logits: Tensor, given: Assignment, batch: dict[str, Tensor]) -> Tensor:
    """Sum over taken cells of the cross-entropy between classes, weighted by the target score.

    What is there is one thing. The focused loss hardly cares whether a bus looks like a truck, too: a wrong class of
    probability p weighs 0.75 p^2, and there is one such cell among thousands without any object.
    """
    image, cell = given.taken.nonzero(as_tuple=True)
    wanted = batch["classes"][image, given.rows[image, cell]]
    possible = batch["known_classes"][image].scatter(1, wanted.unsqueeze(1), True)
    each = F.cross_entropy(logits[image, cell].masked_fill(~possible, -1e4), wanted, reduction="none")
    return (each * given.weight[image, cell]).sum() + 0 * logits.sum()


def _counted_cells(batch: dict[str, Tensor], grid: Grid, given: Assignment) -> Tensor:
    """B A C: 0 where a cell may not be judged: image or class without box labels, or inside an ignored object."""
    image, row = (batch["ignored"] & (batch["classes"] >= 0)).nonzero(as_tuple=True)
    which, cell = cells_inside(batch["boxes"][image, row], *grid)
    hidden = torch.zeros_like(given.taken)
    hidden[image[which], cell] = True
    # Sets that label only some classes say nothing about the others, but what they do label counts.
    counts = (given.scores > 0).logical_or_(batch["known_classes"].unsqueeze(1))
    return counts.logical_and_((batch["has_boxes"].unsqueeze(1) & (given.taken | ~hidden)).unsqueeze(-1))


def _box_loss(
    predicted: Tensor, sides: Tensor, given: Assignment, boxes: Tensor, centers: Tensor, scale: Tensor
) -> Tensor:
    """Sum over taken cells of CIoU loss and L1 of the log distances, weighted by the target score."""
    image, cell = given.taken.nonzero(as_tuple=True)
    wanted = boxes[image, given.rows[image, cell]]
    center, size = centers[cell], scale[cell].unsqueeze(-1)
    weight = given.weight[image, cell]
    loss = 2 * (1 - complete_iou(predicted[image, cell], wanted))
    distance = torch.cat([center - wanted[:, :2], wanted[:, 2:] - center], -1) / size
    # Cells of tiny objects may lie outside them; their distances are then clamped to a tenth of a cell.
    sure = F.smooth_l1_loss(sides[image, cell], distance.clamp(min=0.1).log(), reduction="none", beta=0.1).mean(-1)
    return ((loss + sure) * weight).sum() + 0 * sides.sum()


def _light_loss(states: Tensor, given: Assignment, wanted: Tensor) -> Tensor:
    """Mean cross-entropy of the four states over cells that answer for a traffic light with a known state."""
    state = wanted.gather(1, given.rows)
    image, cell = (given.taken & (state >= 0)).nonzero(as_tuple=True)
    target = F.one_hot(state[image, cell], len(labels.LIGHT_STATES)).float()
    loss = F.binary_cross_entropy_with_logits(states[image, cell], target, reduction="none").sum(-1)
    return loss.sum() / max(len(image), 1) + 0 * states.sum()
