"""What is to be filled in: pixels without the brightness and contrast of their square."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from perception_models.pretraining.holes import CELL


def normalised(images: Tensor) -> Tensor:
    """B 3 H W with mean 0 and deviation 1 in each cell of 32x32 pixels, or contrast would decide what counts."""
    mean, deviation = statistics(images)
    return (images - mean) / deviation


def statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each cell and channel, at full size; flat cells deviate by 4 levels at least."""
    mean = F.avg_pool2d(images, CELL)
    deviation = (F.avg_pool2d(images.square(), CELL) - mean.square()).clamp(min=16.0).sqrt()
    return F.interpolate(mean, scale_factor=float(CELL)), F.interpolate(deviation, scale_factor=float(CELL))
