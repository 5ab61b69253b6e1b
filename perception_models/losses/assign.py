"""Which cell learns which object: task-aligned assignment (Feng et al. 2021, arXiv 2108.07755), for both twins."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from perception_models.losses.boxes import iou

ALIGN_SCORE, ALIGN_IOU = 0.5, 6.0
MIN_SIDE = 16.0  # network pixels: a smaller object still owns the cell centres of a box this large


@dataclass
class Assignment:
    """What each of A cells of B images should say.

    scores (B, A, C) target probability of each class; soft: the best cell of an object gets its IoU
    rows   (B, A) int64 row of the object in the label arrays; meaningless where not `taken`
    taken  (B, A) bool this cell answers for an object
    weight (B, A) sum of scores
    """

    scores: Tensor
    rows: Tensor
    taken: Tensor
    weight: Tensor


@torch.no_grad()
def assign(
    probabilities: Tensor, predicted: Tensor, centers: Tensor, boxes: Tensor, classes: Tensor, valid: Tensor, top: int
) -> Assignment:
    """Give each object its `top` best cells by score^0.5 * IoU^6 among those with the centre in or near it.

    probabilities B A C; predicted B A 4 and boxes B M 4 network pixels; centers A 2; classes B M; valid B M bool
    """
    overlap = iou(boxes.unsqueeze(2), predicted.unsqueeze(1))  # B M A
    wanted = classes.clamp(min=0).unsqueeze(-1).expand(-1, -1, predicted.shape[1])
    score = probabilities.transpose(1, 2).gather(1, wanted)
    inside = _may_answer(centers, boxes, top) & valid.unsqueeze(-1)
    align = score.pow(ALIGN_SCORE) * overlap.pow(ALIGN_IOU) * inside
    chosen = _top_cells(align, inside, top)
    owner = torch.where(chosen, overlap + 1e-6, -1.0).max(1)  # a cell between two objects takes the closer fit
    taken = owner.values > 0
    mine = chosen & (owner.indices.unsqueeze(1) == torch.arange(boxes.shape[1], device=boxes.device).view(1, -1, 1))
    quality = _quality(align * mine, overlap * mine)
    weight = quality.gather(1, owner.indices.unsqueeze(1)).squeeze(1) * taken  # B A
    column = classes.clamp(min=0).gather(1, owner.indices)
    scores = torch.zeros_like(probabilities).scatter_(2, column.unsqueeze(-1), weight.unsqueeze(-1))
    return Assignment(scores, owner.indices, taken, weight)


def centers_inside(centers: Tensor, boxes: Tensor, min_side: float = 0.0) -> Tensor:
    """B M A: is the centre of each cell inside each box, boxes grown to at least `min_side`?"""
    middle = (boxes[..., :2] + boxes[..., 2:]) / 2
    half = (boxes[..., 2:] - boxes[..., :2]).clamp(min=min_side) / 2
    offset = centers.view(1, 1, -1, 2) - middle.unsqueeze(2)
    return (offset.abs() < half.unsqueeze(2)).all(-1)


def _may_answer(centers: Tensor, boxes: Tensor, top: int) -> Tensor:
    """B M A: cells near each object; if only one will answer, and there are cells inside the object, then one of those.

    Distances to the sides are positive, so a cell outside a small object cannot say exactly where that ends.
    """
    near = centers_inside(centers, boxes, MIN_SIDE)
    if top > 1:
        return near
    inside = centers_inside(centers, boxes)
    return torch.where(inside.any(-1, keepdim=True), inside, near)


def _top_cells(align: Tensor, inside: Tensor, top: int) -> Tensor:
    """B M A bool: the `top` best aligned cells of each object, only inside it."""
    # Cells inside come first even where nothing predicted touches the object.
    rows = align.masked_fill(~inside, -1).topk(min(top, align.shape[-1]), -1).indices
    return torch.zeros_like(inside).scatter_(-1, rows, True) & inside


def _quality(align: Tensor, overlap: Tensor) -> Tensor:
    """Alignment scaled so that the best cell of each object gets its IoU (equation 4 of the paper).

    The sixth power of a poor IoU is tiny, so only the smallest numbers are kept from dividing by zero.
    """
    return align / align.amax(-1, keepdim=True).clamp(min=1e-37) * overlap.amax(-1, keepdim=True)
