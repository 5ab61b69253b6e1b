"""Trees and bushes."""

from __future__ import annotations

import numpy as np

from perception_models.render.assets.asset import VEGETATION, Asset, asset_of
from perception_models.render.assets.shapes import box


def tree(rng: np.random.Generator, detail: int = 1) -> Asset:
    """A tree."""
    scale = rng.uniform(0.97, 1.03)
    length, width, height = 4.0, 4.0, 7.0
    body = box((0, 0, height * scale / 2), (length * scale, width * scale, height * scale), rng.uniform(0.1, 0.6, 3))
    return asset_of(body, None, VEGETATION)


def bush(rng: np.random.Generator, detail: int = 1) -> Asset:
    """A bush."""
    scale = rng.uniform(0.97, 1.03)
    length, width, height = 1.5, 1.5, 1.2
    body = box((0, 0, height * scale / 2), (length * scale, width * scale, height * scale), rng.uniform(0.1, 0.6, 3))
    return asset_of(body, None, VEGETATION)
