"""Imitation of a foreign detector's scores and boxes: what it sees in every cell of this very view.

Labels say yes or no where an object is; a detector that has seen a hundred thousand pictures also says how much a
bollard looks like a person. On images whose labels are complete it is not asked: there it would only be wrong.

Quality focal loss: Li et al. 2020, arXiv 2006.04388. A student that sees the same augmented views as its teacher: Beyer
et al. 2022, arXiv 2106.05237.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from perception_models.data import labels
from perception_models.losses.iou import complete_iou
from perception_models.network.box_coding import anchor_points, boxes_from_sides

OFFSETS = 5  # channels before those of the classes: centre x and y, log width and height, objectness
# COCO's classes and ours that they may be. Traffic lights have better labels of their own.
KINDS = {
    0: ("pedestrian", "rider"), 1: ("bicycle",), 2: ("car",), 3: ("motorcycle",), 5: ("bus",), 6: ("train",),
    7: ("truck",),
}  # fmt: skip
OWN = [[labels.OBJECTS.index(name) for name in names] for names in KINDS.values()]
CONFIDENT = 0.3  # from this score on a cell's box is learned, too


def detection_loss(
    cells: Sequence[Tensor], outputs: dict[str, Tensor], batch: dict[str, Tensor], strides: tuple[int, ...], branch: str
) -> Tensor:
    """Scalar: quality focal loss of the scores and CIoU of the boxes, per sum of the detector's scores.

    cells    B 5+C h w of each stride, as YOLOX gives them: offsets, and probabilities of an object and its class
    outputs  of the network, with one value per anchor point
    strides  of the network's levels; those of `cells` must be among them
    """
    size = int(batch["images"].shape[1]), int(batch["images"].shape[2])
    asked = ~batch["known_classes"].all(1)
    theirs = tuple(size[1] // each.shape[-1] for each in cells)
    rows = torch.cat([each.float().flatten(2) for each in cells], 2).transpose(1, 2)[asked]  # b a 5+C
    centers, scale = (each.to(rows.device) for each in anchor_points(size, strides))
    shared = torch.isin(scale, scale.new_tensor(theirs))
    centers, scale = centers[shared], scale[shared]
    logits, sides = (outputs[f"{branch}_{name}"][asked][:, shared].float() for name in ("classes", "sides"))
    wanted = rows[..., OFFSETS - 1 : OFFSETS] * rows[..., [OFFSETS + number for number in KINDS]]
    best = wanted.amax(-1)
    confident = best * (best >= CONFIDENT)
    fit = 1 - complete_iou(boxes_from_sides(sides, centers, scale), boxes_of(rows, centers, scale))
    loss = score_loss(logits, wanted) + 2 * (fit * confident).sum()
    return loss / best.sum().clamp(min=1)


def score_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Scalar sum; logits B A 10 of our classes, wanted B A 7 probabilities of KINDS."""
    kinds = torch.stack([logits[..., own].amax(-1) for own in OWN], -1)
    focus = (wanted - kinds.detach().sigmoid()).square()
    return F.binary_cross_entropy_with_logits(kinds, wanted, focus, reduction="sum")


def boxes_of(rows: Tensor, centers: Tensor, scale: Tensor) -> Tensor:
    """... A 4 boxes x0 y0 x1 y1 in network pixels, of rows ... A 5+C as YOLOX gives them.

    centers, scale  A 2 and A: the middle of each cell, from whose corner the offsets count, and its stride
    """
    middle = centers + (rows[..., :2] - 0.5) * scale[:, None]
    half = rows[..., 2:4].clamp(max=6).exp() * scale[:, None] / 2
    return torch.cat([middle - half, middle + half], -1)
