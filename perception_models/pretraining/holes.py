"""Which squares of a picture are hidden."""

from __future__ import annotations

import torch
from torch import Tensor

CELL = 32  # pixels of a square: a cell of the coarsest map


def random_visible(batch: int, cells: tuple[int, int], hidden: float, device: torch.device) -> Tensor:
    """(batch, 1, *cells) bool: a share `hidden` of each picture's cells is False, as many in every picture."""
    order = torch.rand(batch, cells[0] * cells[1], device=device).argsort(1).argsort(1)
    count = min(max(round(cells[0] * cells[1] * hidden), 1), cells[0] * cells[1] - 1)
    return (order >= count).reshape(batch, 1, *cells)


def spread(visible: Tensor, size: torch.Size) -> Tensor:
    """The cells at a finer resolution: (B, 1, *size)."""
    scale = size[0] // visible.shape[-2]
    return visible.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
