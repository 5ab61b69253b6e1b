"""Task-aligned assignment of anchor points to objects (Feng et al. 2021, arXiv 2108.07755), for both branches."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from perception_models.losses.iou import iou
from perception_models.network.box_coding import anchors_inside

Grid = tuple[tuple[int, int], tuple[int, ...]]  # (height, width) of the images, strides of the levels

ALIGN_SCORE, ALIGN_IOU = 0.5, 6.0
MIN_SIDE = 16.0  # network pixels: smaller objects are enlarged to this when looking for candidate anchors


@dataclass
class Assignment:
    """Training targets of A anchors of B images.

    scores   (B, A, C) target probability of each class; soft: the best anchor of an object gets its IoU
    rows     (B, A) int64 row of the object in the label arrays; meaningless where not `assigned`
    assigned (B, A) bool the anchor is responsible for an object
    weight   (B, A) sum of scores
    """

    scores: Tensor
    rows: Tensor
    assigned: Tensor
    weight: Tensor


@dataclass
class Pairs:
    """P candidate pairs of an object and an anchor: few of all possible ones, so what follows is cheap.

    object  (P,) index of the object, ascending
    image, row  (P,) where its labels are in the label arrays
    anchor  (P,) index of the anchor
    """

    object: Tensor
    image: Tensor
    row: Tensor
    anchor: Tensor


@torch.no_grad()
def assign(
    probabilities: Tensor, predicted: Tensor, grid: Grid, boxes: Tensor, classes: Tensor, valid: Tensor, top: int
) -> Assignment:
    """Assign to each object its `top` anchors with the highest score^0.5 * IoU^6 among those in or near it.

    probabilities B A C; predicted B A 4 and boxes B M 4 network pixels; classes B M; valid B M bool
    """
    pairs = _candidates(grid, boxes, valid, top)
    overlap = iou(boxes[pairs.image, pairs.row], predicted[pairs.image, pairs.anchor])
    target = classes[pairs.image, pairs.row]
    alignment = probabilities[pairs.image, pairs.anchor, target].pow(ALIGN_SCORE) * overlap.pow(ALIGN_IOU)
    chosen = _resolve_conflicts(pairs, overlap, _rank_in_group(pairs.object, alignment) < top, predicted.shape[1])
    quality = _quality(alignment[chosen], overlap[chosen], pairs.object[chosen])
    index = (pairs.image[chosen], pairs.anchor[chosen])
    scores, rows = torch.zeros_like(probabilities), torch.zeros_like(probabilities[..., 0], dtype=torch.int64)
    scores[(*index, target[chosen])], rows[index] = quality, pairs.row[chosen]
    assigned = torch.zeros_like(rows, dtype=torch.bool)
    assigned[index] = True
    return Assignment(scores, rows, assigned, scores.sum(-1))


def _candidates(grid: Grid, boxes: Tensor, valid: Tensor, top: int) -> Pairs:
    """Anchors near each object; for a single assignment, only anchors inside the object if it has any.

    Predicted distances to the sides are positive: an anchor outside a small object cannot give its exact box.
    """
    image, row = valid.nonzero(as_tuple=True)
    objects = boxes[image, row]
    number, anchor = anchors_inside(_enlarged(objects, MIN_SIDE), *grid)
    if top == 1:
        own, inner = anchors_inside(objects, *grid)
        without = torch.ones_like(image, dtype=torch.bool).index_fill_(0, own, False)[number]
        number, anchor = torch.cat([number[without], own]), torch.cat([anchor[without], inner])
        order = number.argsort(stable=True)
        number, anchor = number[order], anchor[order]
    return Pairs(number, image[number], row[number], anchor)


def _enlarged(boxes: Tensor, min_side: float) -> Tensor:
    """Boxes N 4 with the same centres and sides of at least `min_side`."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).clamp(min=min_side) / 2
    return torch.cat([middle - half, middle + half], -1)


def _rank_in_group(group: Tensor, value: Tensor) -> Tensor:
    """Rank of each value within its group, 0 for the highest; ties keep their order."""
    order = value.argsort(descending=True, stable=True)
    order = order[group[order].argsort(stable=True)]
    sizes = torch.bincount(group)
    rank = torch.arange(len(group), device=group.device) - (sizes.cumsum(0) - sizes)[group[order]]
    return torch.empty_like(rank).scatter_(0, order, rank)


def _resolve_conflicts(pairs: Pairs, overlap: Tensor, chosen: Tensor, anchors: int) -> Tensor:
    """Indices of the chosen pairs that remain: an anchor chosen by two objects takes the one with the higher IoU."""
    chosen = chosen.nonzero().squeeze(1)
    return chosen[_rank_in_group(pairs.image[chosen] * anchors + pairs.anchor[chosen], overlap[chosen]) == 0]


def _quality(alignment: Tensor, overlap: Tensor, group: Tensor) -> Tensor:
    """Alignment scaled so that the best anchor of each object gets its IoU (equation 4 of the paper).

    The sixth power of a poor IoU is tiny, so the clamp is just large enough to avoid a division by zero.
    """
    if not len(group):
        return alignment
    return alignment / _max_of_group(alignment, group).clamp(min=1e-37) * _max_of_group(overlap, group)


def _max_of_group(value: Tensor, group: Tensor) -> Tensor:
    return value.new_zeros(int(group.max()) + 1).scatter_reduce_(0, group, value, "amax")[group]
