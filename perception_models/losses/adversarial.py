"""Adversarial perturbations of a batch: FGSM and PGD.

White-box attacks: they use the weights and the labels, and may change every channel of every pixel by `strength` of 255
grey levels. FGSM (Goodfellow et al. 2015, arXiv 1412.6572) takes one step, PGD (Madry et al. 2018, arXiv 1706.06083)
several. For training, one step from a random start is as good as many (Wong et al. 2020, arXiv 2001.03994).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from perception_models.losses import LossConfig, task_losses
from perception_models.network import PerceptionNet


@dataclass
class AdversarialConfig:
    """Adversarial training: attacked images in place of clean ones.

    share     of the images of a batch that are attacked, 0..1; 0: none
    strength  largest change of a channel, grey levels of 255
    steps     1 is FGSM; more is PGD, which costs one forward and backward pass each
    """

    share: float = 0.0
    strength: float = 4.0
    steps: int = 1


def attacked(
    net: PerceptionNet, batch: dict[str, Tensor], strength: float, steps: int = 1, random_start: bool = False
) -> Tensor:
    """(B, H, W, 3) uint8 images with the highest loss whose channels differ by at most `strength` grey levels.

    steps         1 is FGSM; more is PGD with steps of 2.5 * strength / steps
    random_start  start at a random point within the limit (from torch's random state), not at the clean image
    """
    clean = batch["images"].float()
    images = clean + strength * (2 * torch.rand_like(clean) - 1) if random_start else clean.clone()
    # One step from a random start: 1.25 times the limit (Wong et al., section 4.1).
    step = strength * (1.25 if random_start else 1.0) if steps == 1 else 2.5 * strength / steps
    for _ in range(steps):
        images.requires_grad_()
        losses = task_losses(net(images), batch, LossConfig(), net.config.strides)
        total = sum(losses.values(), start=clean.new_zeros(()))
        (gradient,) = torch.autograd.grad(total, [images])
        images = images.detach() + step * gradient.sign()
        images = torch.minimum(torch.maximum(images, clean - strength), clean + strength).clamp(0, 255)
    # Whole levels, rounded towards the clean image, so that no channel exceeds the limit.
    return (clean + (images - clean).trunc()).to(torch.uint8)


def harden(net: PerceptionNet, batch: dict[str, Tensor], config: AdversarialConfig) -> dict[str, Tensor]:
    """The batch with the first `share` of its images attacked, rounded to whole images, at least one.

    The network's batch norms do not learn from the attack's own passes: it runs in evaluation mode.
    """
    count = max(1, round(config.share * len(batch["images"]))) if config.share else 0
    if not count:
        return batch
    training = net.training
    net.eval()
    part = {name: value[:count] for name, value in batch.items()}
    images = attacked(net, part, config.strength, config.steps, random_start=True)
    net.train(training)
    return {**batch, "images": torch.cat([images, batch["images"][count:]])}
