"""Loss of the lane head: position, visible rows, existence, type and colour of each line."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def lane_losses(outputs: dict[str, Tensor], batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Scalars `position`, `rows`, `exists`, `type`, `color`; unlabelled lines contribute nothing."""
    lane_x, exists = batch["lane_x"], batch["lane_exists"]
    heat, column = outputs["lane_heat"].float(), outputs["lane_column"].float()
    present = lane_x.isfinite() & (exists == 1).unsqueeze(-1)  # B L R
    pixels = batch["images"].shape[2] / heat.shape[-1]  # per column
    wanted = torch.where(present, lane_x / pixels - 0.5, 0).clamp(0, heat.shape[-1] - 1)
    known = (exists >= 0).float()
    return {
        "position": _position_loss(heat, column, wanted, present),
        "rows": _mean(_bce(outputs["lane_row"], present.float()), known.unsqueeze(-1).expand_as(lane_x)),
        "exists": _mean(_bce(outputs["lane_exists"], (exists == 1).float()), known),
        "type": _class_loss(outputs["lane_type"], batch["lane_type"], exists),
        "color": _class_loss(outputs["lane_color"], batch["lane_color"], exists),
    }


def _position_loss(heat: Tensor, column: Tensor, wanted: Tensor, present: Tensor) -> Tensor:
    """Cross-entropy over the two neighbouring columns, L1 of the expected column, and curvature of the line."""
    left = wanted.floor().clamp(max=heat.shape[-1] - 2).long()
    fraction = (wanted - left).unsqueeze(-1)
    log_probability = heat.log_softmax(-1)
    pair = log_probability.gather(-1, torch.stack([left, left + 1], -1))
    entropy = -(pair * torch.cat([1 - fraction, fraction], -1)).sum(-1)
    offset = F.smooth_l1_loss(column, wanted, reduction="none", beta=0.25)
    # Second differences are compared with those of the label: curves are fine, zigzags are not.
    curvature = (_second_difference(column) - _second_difference(wanted)).abs()
    triple = present[..., 2:] & present[..., 1:-1] & present[..., :-2]
    return _mean(entropy + offset.clamp(max=8), present.float()) + 0.5 * _mean(curvature.clamp(max=4), triple.float())


def _second_difference(x: Tensor) -> Tensor:
    return x[..., 2:] - 2 * x[..., 1:-1] + x[..., :-2]


def _class_loss(logits: Tensor, wanted: Tensor, exists: Tensor) -> Tensor:
    """Mean cross-entropy over existing lines with a known class."""
    counted = (exists == 1) & (wanted >= 0)
    loss = F.cross_entropy(logits.float().flatten(0, 1), wanted.clamp(min=0).flatten(), reduction="none")
    return _mean(loss, counted.flatten().float())


def _bce(logits: Tensor, wanted: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits.float(), wanted, reduction="none")


def _mean(loss: Tensor, weight: Tensor) -> Tensor:
    return (loss * weight).sum() / weight.sum().clamp(min=1)
