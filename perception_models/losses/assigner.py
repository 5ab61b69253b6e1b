"""Which cell learns which object: task-aligned assignment (Feng et al. 2021, arXiv 2108.07755), for both twins."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from perception_models.losses.iou import iou
from perception_models.network.box_coding import cells_inside

Grid = tuple[tuple[int, int], tuple[int, ...]]

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


@dataclass
class Pairs:
    """P cells that may answer for one of N objects: few of all that could be formed, so all that follows is cheap.

    which (P,) number of the object, rising; image, row (P,) its place in the label arrays; cell (P,)
    """

    which: Tensor
    image: Tensor
    row: Tensor
    cell: Tensor


@torch.no_grad()
def assign(
    probabilities: Tensor, predicted: Tensor, grid: Grid, boxes: Tensor, classes: Tensor, valid: Tensor, top: int
) -> Assignment:
    """Give each object its `top` best cells by score^0.5 * IoU^6 among those with the centre in or near it.

    probabilities B A C; predicted B A 4 and boxes B M 4 network pixels; classes B M; valid B M bool;
    grid is what A cells stand for: size (height, width) of the images, and strides of the levels
    """
    pairs = _candidates(grid, boxes, valid, top)
    overlap = iou(boxes[pairs.image, pairs.row], predicted[pairs.image, pairs.cell])
    wanted = classes[pairs.image, pairs.row]
    align = probabilities[pairs.image, pairs.cell, wanted].pow(ALIGN_SCORE) * overlap.pow(ALIGN_IOU)
    mine = _owned(pairs, overlap, _best_of_each(pairs.which, align) < top, predicted.shape[1])
    quality = _quality(align[mine], overlap[mine], pairs.which[mine])
    place = (pairs.image[mine], pairs.cell[mine])
    scores, rows = torch.zeros_like(probabilities), torch.zeros_like(probabilities[..., 0], dtype=torch.int64)
    scores[(*place, wanted[mine])], rows[place] = quality, pairs.row[mine]
    taken = torch.zeros_like(rows, dtype=torch.bool)
    taken[place] = True
    return Assignment(scores, rows, taken, scores.sum(-1))


def _grown(boxes: Tensor, least: float) -> Tensor:
    """Boxes N 4 about the same centres with sides of at least `least`."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).clamp(min=least) / 2
    return torch.cat([middle - half, middle + half], -1)


def _candidates(grid: Grid, boxes: Tensor, valid: Tensor, top: int) -> Pairs:
    """Cells near each object; if only one will answer, and there are cells inside the object, then one of those.

    Distances to the sides are positive, so a cell outside a small object cannot say exactly where that ends.
    """
    image, row = valid.nonzero(as_tuple=True)
    objects = boxes[image, row]
    which, cell = cells_inside(_grown(objects, MIN_SIDE), *grid)
    if top == 1:
        own, inner = cells_inside(objects, *grid)
        bare = torch.ones_like(image, dtype=torch.bool).index_fill_(0, own, False)[which]
        which, cell = torch.cat([which[bare], own]), torch.cat([cell[bare], inner])
        order = which.argsort(stable=True)
        which, cell = which[order], cell[order]
    return Pairs(which, image[which], row[which], cell)


def _best_of_each(group: Tensor, value: Tensor) -> Tensor:
    """Rank from 0 of each value among those of its group, highest first; of equals the first."""
    order = value.argsort(descending=True, stable=True)
    order = order[group[order].argsort(stable=True)]
    sizes = torch.bincount(group)
    rank = torch.arange(len(group), device=group.device) - (sizes.cumsum(0) - sizes)[group[order]]
    return torch.empty_like(rank).scatter_(0, order, rank)


def _owned(pairs: Pairs, overlap: Tensor, chosen: Tensor, cells: int) -> Tensor:
    """Numbers of the chosen pairs that stand: a cell between two objects takes the closer fit."""
    chosen = chosen.nonzero().squeeze(1)
    return chosen[_best_of_each(pairs.image[chosen] * cells + pairs.cell[chosen], overlap[chosen]) == 0]


def _quality(align: Tensor, overlap: Tensor, which: Tensor) -> Tensor:
    """Alignment scaled so that the best cell of each object gets its IoU (equation 4 of the paper).

    The sixth power of a poor IoU is tiny, so only the smallest numbers are kept from dividing by zero.
    """
    if not len(which):
        return align
    best = lambda value: value.new_zeros(int(which.max()) + 1).scatter_reduce_(0, which, value, "amax")[which]  # noqa: E731
    return align / best(align).clamp(min=1e-37) * best(overlap)
