"""Loss of the mask heads: focal cross-entropy plus Tversky."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from perception_models.data.labels import IGNORE


def mask_loss(logits: Tensor, target: Tensor, gamma: float = 0.0, alpha: float = 0.5) -> Tensor:
    """Focal cross-entropy plus Tversky loss of the classes present; 0 when no pixel is labelled.

    logits  B C h w
    target  B h w uint8 class, 255 not labelled
    gamma   of the focal loss; 0: cross-entropy
    alpha   weight of false negatives against false positives; 0.5: Dice
    """
    logits, known = logits.float(), target != IGNORE
    wanted = torch.where(known, target, 0).long()
    log_probability = logits.log_softmax(1)
    log_true = log_probability.gather(1, wanted.unsqueeze(1)).squeeze(1)
    focal = -((1 - log_true.exp()) ** gamma * log_true if gamma else log_true)
    cross_entropy = (focal * known).sum() / known.sum().clamp(min=1)
    return cross_entropy + tversky_loss(log_probability.exp(), wanted, known, alpha)


def tversky_loss(probability: Tensor, wanted: Tensor, known: Tensor, alpha: float) -> Tensor:
    """1 - Tversky index over the whole batch, mean over the classes present in it (Salehi et al. 2017)."""
    truth = F.one_hot(wanted, probability.shape[1]).permute(0, 3, 1, 2).float() * known.unsqueeze(1)
    probability = probability * known.unsqueeze(1)
    hit = (probability * truth).sum((0, 2, 3))
    false_negatives, false_positives = truth.sum((0, 2, 3)) - hit, probability.sum((0, 2, 3)) - hit
    index = (hit + 1) / (hit + alpha * false_negatives + (1 - alpha) * false_positives + 1)
    present = (truth.sum((0, 2, 3)) > 0).float()
    return ((1 - index) * present).sum() / present.sum().clamp(min=1)
