"""What was shown, what was made of it, what it was: three pictures in a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from perception_models.pretraining.holes import spread
from perception_models.pretraining.target import statistics

if TYPE_CHECKING:
    from perception_models.pretraining.learner import MaskedLearner

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
