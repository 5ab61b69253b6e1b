"""Geometry of the object head: anchor points, and boxes from the four predicted distances."""

from __future__ import annotations

import torch
from torch import Tensor

MAX_LOG_DISTANCE = 5.0  # e^5 strides of 32 pixels: beyond any image; keeps exp finite in half precision


def anchor_points(size: tuple[int, int], strides: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Anchor points (A, 2) x y in network pixels and their strides (A,), fine to coarse, row by row."""
    centers, scales = [], []
    for stride in strides:
        ys = (torch.arange(size[0] // stride) + 0.5) * stride
        xs = (torch.arange(size[1] // stride) + 0.5) * stride
        y, x = torch.meshgrid(ys, xs, indexing="ij")
        centers.append(torch.stack([x, y], -1).reshape(-1, 2))
        scales.append(torch.full((len(xs) * len(ys),), float(stride)))
    return torch.cat(centers), torch.cat(scales)


def anchors_inside(boxes: Tensor, size: tuple[int, int], strides: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """All pairs of a box and an anchor point inside it: (P,) box rows, ascending, and (P,) anchor indices.

    boxes    N 4 network pixels
    size     (height, width) of the images, pixels
    strides  stride of each pyramid level, fine to coarse
    """
    pairs, first = [], 0
    for stride in strides:
        rows, columns = size[0] // stride, size[1] // stride
        box, row, column = _anchors_of_level(boxes / stride, rows, columns)
        pairs.append((box, first + row * columns + column))
        first += rows * columns
    box, anchor = (torch.cat(part) for part in zip(*pairs))
    order = box.argsort(stable=True)
    return box[order], anchor[order]


def _anchors_of_level(boxes: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    """(P,) box, row and column of all anchor points of one level inside a box; boxes N 4 in strides."""
    limit = boxes.new_tensor([columns, rows])
    low = torch.minimum((boxes[:, :2] - 0.5).floor() + 1, limit).clamp(min=0).long()
    high = torch.minimum((boxes[:, 2:] - 0.5).ceil(), limit).long()
    width, height = (high - low).clamp(min=0).unbind(1)
    count = width * height
    box = torch.arange(len(boxes), device=boxes.device).repeat_interleave(count)
    index = torch.arange(len(box), device=boxes.device) - (count.cumsum(0) - count)[box]  # within its box
    return box, low[box, 1] + index // width[box], low[box, 0] + index % width[box]


def boxes_from_sides(sides: Tensor, centers: Tensor, strides: Tensor) -> Tensor:
    """... 4 boxes x0 y0 x1 y1 in network pixels.

    sides    ... 4 log distances to left, top, right, bottom, in strides
    centers  ... 2 anchor points, network pixels
    strides  ... network pixels
    """
    distances = sides.clamp(max=MAX_LOG_DISTANCE).exp() * strides.unsqueeze(-1)
    return torch.cat([centers - distances[..., :2], centers + distances[..., 2:]], -1)
