"""Which squares of a picture are hidden.

The backbone on pictures with holes: convolutions must not see through them, nor holes count as black.

After every convolution the hidden cells are set to zero again and batch norm counts the visible ones alone, which is
what a sparse convolution computes (SparK, Tian et al. 2023, arXiv 2301.03580).

What is to be filled in: pixels without the brightness and contrast of their square.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perception_models.network.backbone import Backbone
from perception_models.network.blocks import ConvBlock, Residual

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


def visible_maps(backbone: Backbone, x: Tensor, visible: Tensor) -> list[Tensor]:
    """What `backbone(x)` returns, from the visible cells only; zero in the others.

    visible  (B, 1, H/32, W/32) bool
    """
    x = _block(backbone.stem, x * spread(visible, x.shape[-2:]), visible)
    maps = []
    for stage in backbone.stages:
        for part in stage:
            x = _residual(part, x, visible) if isinstance(part, Residual) else _block(part, x, visible)
        maps.append(x)
    return maps


def _residual(block: Residual, x: Tensor, visible: Tensor) -> Tensor:
    inner = x
    for part in block.body:
        inner = _block(part, inner, visible)
    return F.relu(x + inner)


def _block(block: ConvBlock, x: Tensor, visible: Tensor) -> Tensor:
    x = block[0](x)
    seen = spread(visible, x.shape[-2:])
    return block[2](_norm(block[1], x, seen)) * seen


def _norm(norm: nn.BatchNorm2d, x: Tensor, seen: Tensor) -> Tensor:
    """Batch norm whose statistics are those of the seen cells."""
    rows = x.movedim(1, -1)[seen.squeeze(1)]  # N C
    out = torch.zeros_like(x.movedim(1, -1))
    out[seen.squeeze(1)] = norm(rows[..., None, None]).flatten(1).to(out.dtype)
    return out.movedim(-1, 1)


def normalised(images: Tensor) -> Tensor:
    """B 3 H W with mean 0 and deviation 1 in each cell of 32x32 pixels, or contrast would decide what counts."""
    mean, deviation = statistics(images)
    return (images - mean) / deviation


def statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each cell and channel, at full size; flat cells deviate by 4 levels at least."""
    mean = F.avg_pool2d(images, CELL)
    deviation = (F.avg_pool2d(images.square(), CELL) - mean.square()).clamp(min=16.0).sqrt()
    return F.interpolate(mean, scale_factor=float(CELL)), F.interpolate(deviation, scale_factor=float(CELL))
