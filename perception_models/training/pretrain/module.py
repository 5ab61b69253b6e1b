"""Masked image modelling: the backbone sees part of an image, the neck reconstructs the rest.

SparK (Tian et al. 2023, arXiv 2301.03580) with one change: the decoder is the neck of the network, which is thereby
pretrained too. Each pyramid level reconstructs the hidden part at its own scale, 4x4 values per pixel of its map, as
pixels normalised per hidden cell (He et al. 2022, arXiv 2111.06377).
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perception_models.network import PerceptionNet
from perception_models.network.backbone import Backbone
from perception_models.training.pretrain.masking import (
    CELL,
    normalized,
    random_visible,
    statistics,
    upsample_mask,
    visible_maps,
)

GREY = 127.0
UPSCALE = 4  # reconstructed values per side for each pixel of a map


class MaskedPretraining(nn.Module):
    """A batch to the reconstruction loss; replaces training.build.TrainingModule in a run.

    hidden  fraction of each image that the backbone does not see
    """

    def __init__(self, net: PerceptionNet, hidden: float):
        super().__init__()
        config = net.config
        self.net, self.hidden = net, hidden
        # Mask tokens that fill the hidden cells: one value per channel of each backbone map.
        self.blank = nn.ParameterList(torch.randn(1, c, 1, 1) * 0.02 for c in config.widths)
        self.paint = nn.ModuleList(
            nn.Conv2d(c, 3 * UPSCALE**2, 1) for c in (config.fine, config.neck, config.neck, config.neck)
        )

    def forward(
        self, batch: dict[str, Tensor], tasks: tuple[str, ...] = (), compare: bool = False
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, float]]:
        """The scalar to call backward() on, the loss by name, no statistics; arguments as of TrainingModule."""
        images = batch["images"].float().permute(0, 3, 1, 2)
        visible = self.draw_mask(images)
        with torch.autocast(images.device.type, enabled=False):
            target = normalized(images)
        loss = self.loss(self.reconstruct(images, visible), target, visible)
        return loss, {"reconstruction": loss.detach()}, {}

    def draw_mask(self, images: Tensor) -> Tensor:
        """A random mask of the visible cells: (B, 1, H/32, W/32) bool."""
        cells = images.shape[-2] // CELL, images.shape[-1] // CELL
        return random_visible(len(images), cells, self.hidden, images.device)

    def reconstruct(self, images: Tensor, visible: Tensor) -> list[Tensor]:
        """Reconstructions of all pyramid levels in normalised pixels: B 3 H W, then H/2, H/4, H/8."""
        maps = visible_maps(
            cast(Backbone, self.net.backbone), self.net.exposure(images) * self.net.input_scale, visible
        )
        filled = [torch.where(upsample_mask(visible, m.shape[-2:]), m, b.to(m.dtype)) for m, b in zip(maps, self.blank)]
        return [F.pixel_shuffle(paint(x), UPSCALE) for paint, x in zip(self.paint, self.net.neck(filled))]

    def loss(self, reconstructions: list[Tensor], target: Tensor, visible: Tensor) -> Tensor:
        """Mean squared error over the hidden cells, averaged over all levels."""
        errors = []
        for scale, reconstruction in enumerate(reconstructions):
            wanted = F.avg_pool2d(target, 2**scale)
            hidden = ~upsample_mask(visible, wanted.shape[-2:])
            errors.append(((reconstruction.float() - wanted).square() * hidden).sum() / (3 * hidden.sum()))
        return torch.stack(errors).mean()

    @torch.no_grad()
    def preview(self, average: nn.Module, images: Tensor) -> np.ndarray:
        """Masked input, reconstruction and original side by side: (B * H, 3 * W, 3) uint8 BGR.

        images (B, H, W, 3) uint8; the averaged network is not used. Brightness and contrast of hidden cells, which the
        network does not reconstruct, are taken from the original.
        """
        was_training = self.training
        self.eval()
        pixels = images.float().permute(0, 3, 1, 2)
        visible = self.draw_mask(pixels)
        reconstruction = self.reconstruct(pixels, visible)[0].float()
        self.train(was_training)
        mean, deviation = statistics(pixels)
        mask = upsample_mask(visible, pixels.shape[-2:])
        columns = torch.where(mask, pixels, GREY), torch.where(mask, pixels, reconstruction * deviation + mean), pixels
        rows = torch.cat(columns, 3)
        return np.vstack([row.permute(1, 2, 0).clamp(0, 255).to(torch.uint8).cpu().numpy() for row in rows])
