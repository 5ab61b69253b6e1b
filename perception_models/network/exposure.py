"""Dark images, lifted before the network sees them: a camera's auto exposure gives up at dusk, or looks at the sky.

Part of the network, so that every engine does it and training sees what the vehicle sees.
"""

from __future__ import annotations

from torch import Tensor, nn

WHITE = 255.0
STEP = 8  # pixels between those that are measured
SKY = 3  # the upper third of the image is not measured: it hides how dark the street is


class Exposure(nn.Module):
    """B 3 H W grey levels 0..255 to the same, those of dark images mixed with their roots.

    mean  grey level, as a fraction of white, that the lower two thirds of the image shall have; brighter ones stay
    """

    def __init__(self, mean: float) -> None:
        super().__init__()
        self.mean = mean

    def forward(self, images: Tensor) -> Tensor:
        measured = images[..., images.shape[-2] // SKY :: STEP, ::STEP]
        level, lifted = (x.mul(1 / WHITE).mean((1, 2, 3), keepdim=True) for x in (measured, roots(measured)))
        share = ((self.mean - level) / (lifted - level + 1e-3)).clamp(0.0, 1.0)
        return images * (1.0 - share) + roots(images, share)


def roots(images: Tensor, share: Tensor | float = 1.0) -> Tensor:
    """A share of the roots of grey levels, from 0 to 255, with a finite slope at black: noise there stays dark."""
    return (images + 1.0).sqrt() * (17.0 * share) - 17.0 * share
