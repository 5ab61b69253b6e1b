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


def boxes_from_sides(sides: Tensor, centers: Tensor, strides: Tensor) -> Tensor:
    """... 4 boxes x0 y0 x1 y1 in network pixels.

    sides    ... 4 log distances left, top, right, bottom in cells
    centers  ... 2 network pixels
    strides  ... network pixels per cell
    """
    distances = sides.clamp(max=MAX_LOG_SIDE).exp() * strides.unsqueeze(-1)
    return torch.cat([centers - distances[..., :2], centers + distances[..., 2:]], -1)
