"""The backbone on pictures with holes: convolutions must not see through them, nor holes count as black.

After every convolution the hidden cells are set to zero again and batch norm counts the visible ones alone, which is
what a sparse convolution computes (SparK, Tian et al. 2023, arXiv 2301.03580).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perception_models.network.blocks import ConvBlock, Residual
from perception_models.network.trunk import Backbone
from perception_models.pretraining.holes import spread


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
