"""Masking of images for pretraining: random masks, the backbone on visible parts only, and reconstruction targets.

After every convolution the hidden cells are set to zero again, and batch norm uses the visible ones alone: the same
result as sparse convolutions (SparK, Tian et al. 2023, arXiv 2301.03580).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perception_models.network.backbone import Backbone
from perception_models.network.blocks import ConvBlock, Residual

CELL = 32  # pixels; a masked square is one pixel of the coarsest map


def random_visible(batch: int, cells: tuple[int, int], hidden: float, device: torch.device) -> Tensor:
    """(batch, 1, *cells) bool: the same fraction `hidden` of the cells of every image is False."""
    order = torch.rand(batch, cells[0] * cells[1], device=device).argsort(1).argsort(1)
    count = min(max(round(cells[0] * cells[1] * hidden), 1), cells[0] * cells[1] - 1)
    return (order >= count).reshape(batch, 1, *cells)


def upsample_mask(visible: Tensor, size: Sequence[int]) -> Tensor:
    """The mask at a finer resolution: (B, 1, *size)."""
    scale = size[0] // visible.shape[-2]
    return visible.repeat_interleave(scale, 2).repeat_interleave(scale, 3)


def visible_maps(backbone: Backbone, x: Tensor, visible: Tensor) -> list[Tensor]:
    """The result of `backbone(x)` computed from the visible cells only; zero in the others.

    visible  (B, 1, H/32, W/32) bool
    """
    x = _masked_block(backbone.stem, x * upsample_mask(visible, x.shape[-2:]), visible)
    maps = []
    for stage in backbone.stages:
        for part in stage.children():
            x = _masked_residual(part, x, visible) if isinstance(part, Residual) else _masked_block(part, x, visible)
        maps.append(x)
    return maps


def _masked_residual(block: Residual, x: Tensor, visible: Tensor) -> Tensor:
    inner = x
    for part in block.body:
        inner = _masked_block(part, inner, visible)
    return F.relu(x + inner)


def _masked_block(block: nn.Module, x: Tensor, visible: Tensor) -> Tensor:
    assert isinstance(block, ConvBlock)
    x = block.conv(x)
    mask = upsample_mask(visible, x.shape[-2:])
    out: Tensor = block[2](_masked_norm(block.norm, x, mask)) * mask
    return out


def _masked_norm(norm: nn.BatchNorm2d, x: Tensor, mask: Tensor) -> Tensor:
    """Batch norm with the statistics of the visible cells."""
    rows = x.movedim(1, -1)[mask.squeeze(1)]  # N C
    out = torch.zeros_like(x.movedim(1, -1))
    out[mask.squeeze(1)] = norm(rows[..., None, None]).flatten(1).to(out.dtype)
    return out.movedim(-1, 1)


def normalized(images: Tensor) -> Tensor:
    """B 3 H W with mean 0 and deviation 1 in each cell of 32x32 pixels, or high contrast would dominate the loss."""
    mean, deviation = statistics(images)
    return (images - mean) / deviation


def statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (at least 4 levels) of each cell and channel, at full resolution."""
    mean = F.avg_pool2d(images, CELL)
    deviation = (F.avg_pool2d(images.square(), CELL) - mean.square()).clamp(min=16.0).sqrt()
    return F.interpolate(mean, scale_factor=float(CELL)), F.interpolate(deviation, scale_factor=float(CELL))
