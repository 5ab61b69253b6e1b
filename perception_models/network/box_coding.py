"""The geometry of the object head: cell centres, and boxes from the four predicted distances."""

from __future__ import annotations

import torch
from torch import Tensor

MAX_LOG_SIDE = 5.0  # e^5 cells of 32 pixels: beyond any image; keeps exp finite in half precision


def cell_centers(size: tuple[int, int], strides: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Centres (A, 2) x y in network pixels and strides (A,) of all cells, fine to coarse, row by row."""
    centers, scales = [], []
    for stride in strides:
        ys = (torch.arange(size[0] // stride) + 0.5) * stride
        xs = (torch.arange(size[1] // stride) + 0.5) * stride
        y, x = torch.meshgrid(ys, xs, indexing="ij")
        centers.append(torch.stack([x, y], -1).reshape(-1, 2))
        scales.append(torch.full((len(xs) * len(ys),), float(stride)))
    return torch.cat(centers), torch.cat(scales)


def cells_inside(boxes: Tensor, size: tuple[int, int], strides: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """All pairs of a box and a cell whose centre lies in it: (P,) rows of boxes, rising, and (P,) cells.

    boxes    N 4 network pixels
    size     (height, width) of the images, pixels
    strides  pixels per cell of each level, fine to coarse
    """
    pairs, first = [], 0
    for stride in strides:
        rows, columns = size[0] // stride, size[1] // stride
        which, row, column = _centers_between(boxes / stride, rows, columns)
        pairs.append((which, first + row * columns + column))
        first += rows * columns
    which, cell = (torch.cat(part) for part in zip(*pairs))
    order = which.argsort(stable=True)
    return which[order], cell[order]


def _centers_between(boxes: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    """(P,) box, row and column of all cells of one level with the centre in a box; boxes N 4 in cells."""
    limit = boxes.new_tensor([columns, rows])
    low = torch.minimum((boxes[:, :2] - 0.5).floor() + 1, limit).clamp(min=0).long()
    high = torch.minimum((boxes[:, 2:] - 0.5).ceil(), limit).long()
    wide, tall = (high - low).clamp(min=0).unbind(1)
    which = torch.arange(len(boxes), device=boxes.device).repeat_interleave(wide * tall)
    place = torch.arange(len(which), device=boxes.device) - ((wide * tall).cumsum(0) - wide * tall)[which]
    return which, low[which, 1] + place // wide[which], low[which, 0] + place % wide[which]


def boxes_from_sides(sides: Tensor, centers: Tensor, strides: Tensor) -> Tensor:
    """... 4 boxes x0 y0 x1 y1 in network pixels.

    sides    ... 4 log distances left, top, right, bottom in cells
    centers  ... 2 network pixels
    strides  ... network pixels per cell
    """
    distances = sides.clamp(max=MAX_LOG_SIDE).exp() * strides.unsqueeze(-1)
    return torch.cat([centers - distances[..., :2], centers + distances[..., 2:]], -1)
