"""Masked image modelling for our trunk: the backbone sees a part of the picture, the neck fills in the rest.

SparK (Tian et al. 2023, arXiv 2301.03580) with one change: the decoder is the network's own neck, so that it is
pretrained too. Each level of the pyramid says what the hidden part looks like at its own scale, four by four values a
cell, against pixels normalised per hidden cell (He et al. 2022, arXiv 2111.06377).

What was shown, what was made of it, what it was: three pictures in a row.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perception_models.network import PerceptionNet
from perception_models.training.pretrain.masking import (
    CELL,
    normalised,
    random_visible,
    spread,
    statistics,
    visible_maps,
)

GREY = 127.0


@torch.no_grad()
def reconstructions(learner: MaskedLearner, images: Tensor) -> np.ndarray:
    """images (B, H, W, 3) uint8 to one picture (B * H, 3 * W, 3) uint8 BGR.

    The network says how a hidden cell looks apart from its brightness and contrast; these are taken from the original.
    """
    was_training = learner.training
    learner.eval()
    pixels = images.float().permute(0, 3, 1, 2)
    visible = learner.draw(pixels)
    painted = learner.paintings(pixels, visible)[0].float()
    learner.train(was_training)
    mean, deviation = statistics(pixels)
    seen = spread(visible, pixels.shape[-2:])
    rows = torch.cat(
        [torch.where(seen, pixels, GREY), torch.where(seen, pixels, painted * deviation + mean), pixels], 3
    )
    return np.vstack([row.permute(1, 2, 0).clamp(0, 255).to(torch.uint8).cpu().numpy() for row in rows])


FINE = 4  # values along the side of what one cell of any level says


class MaskedLearner(nn.Module):
    """A batch to the reconstruction loss; takes the place of training.learner.Learner in a run.

    hidden  share of each picture that the backbone does not see
    """

    def __init__(self, net: PerceptionNet, hidden: float):
        super().__init__()
        config = net.config
        self.net, self.hidden = net, hidden
        # What stands where nothing was seen, one value per channel of each backbone map.
        self.blank = nn.ParameterList(torch.randn(1, c, 1, 1) * 0.02 for c in config.widths)
        self.paint = nn.ModuleList(
            nn.Conv2d(c, 3 * FINE**2, 1) for c in (config.fine, config.neck, config.neck, config.neck)
        )

    def forward(
        self, batch: dict[str, Tensor], tasks: tuple[str, ...] = (), compare: bool = False
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, float]]:
        """The scalar to go backward from, the loss by name, no figures; `tasks` and `compare` are those of Learner."""
        images = batch["images"].float().permute(0, 3, 1, 2)
        visible = self.draw(images)
        with torch.autocast(images.device.type, enabled=False):
            target = normalised(images)
        loss = self.loss(self.paintings(images, visible), target, visible)
        return loss, {"reconstruction": loss.detach()}, {}

    def sheet(self, average: nn.Module, images: Tensor) -> np.ndarray:
        """What is seen, what is made of it, what it was; the averaged network has no part in it."""
        return reconstructions(self, images)

    def draw(self, images: Tensor) -> Tensor:
        """Which cells are seen this time: (B, 1, H/32, W/32) bool."""
        cells = images.shape[-2] // CELL, images.shape[-1] // CELL
        return random_visible(len(images), cells, self.hidden, images.device)

    def paintings(self, images: Tensor, visible: Tensor) -> list[Tensor]:
        """B 3 H W, then H/2, H/4, H/8: what each level of the pyramid believes, in normalised pixels."""
        maps = visible_maps(self.net.backbone, images * self.net.input_scale, visible)
        filled = [torch.where(spread(visible, m.shape[-2:]), m, b.to(m.dtype)) for m, b in zip(maps, self.blank)]
        return [F.pixel_shuffle(paint(x), FINE) for paint, x in zip(self.paint, self.net.neck(filled))]

    def loss(self, paintings: list[Tensor], target: Tensor, visible: Tensor) -> Tensor:
        """Mean squared error over what was hidden, the mean of all levels."""
        errors = []
        for scale, painting in enumerate(paintings):
            wanted = F.avg_pool2d(target, 2**scale)
            hidden = ~spread(visible, wanted.shape[-2:])
            errors.append(((painting.float() - wanted).square() * hidden).sum() / (3 * hidden.sum()))
        return torch.stack(errors).mean()
