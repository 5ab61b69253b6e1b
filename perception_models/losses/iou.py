"""IoU and complete IoU of boxes."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def iou(a: Tensor, b: Tensor, eps: float = 1e-7) -> Tensor:
    """Intersection over union of boxes ... 4 (x0 y0 x1 y1), with broadcasting: ..., 0..1."""
    overlap, union = _overlap_union(a, b)
    return overlap / (union + eps)


def _overlap_union(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    sides = torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])
    overlap = sides.clamp(min=0).prod(-1)
    return overlap, (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - overlap


def complete_iou(a: Tensor, b: Tensor, eps: float = 1e-7) -> Tensor:
    """CIoU (Zheng et al. 2020, arXiv 1911.08287): IoU minus penalties for centre distance and aspect: ..., up to 1."""
    value = iou(a, b, eps)
    hull = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    distance = ((a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2).square().sum(-1)
    angle_a, angle_b = (torch.atan2(box[..., 2] - box[..., 0], box[..., 3] - box[..., 1] + eps) for box in (a, b))
    aspect = 4 / math.pi**2 * (angle_a - angle_b).square()
    with torch.no_grad():
        trade = aspect / (aspect - value + 1 + eps)
    return value - distance / (hull.square().sum(-1) + eps) - trade * aspect
