"""Bicycles and motorcycles."""

from __future__ import annotations

import numpy as np

from perception_models.render.assets.asset import RIDER, Asset, asset_of
from perception_models.render.assets.shapes import box


def motorcycle(rng: np.random.Generator, detail: int = 1) -> Asset:
    """A motorcycle."""
    scale = rng.uniform(0.97, 1.03)
    length, width, height = 2.1, 0.8, 1.2
    body = box((0, 0, height * scale / 2), (length * scale, width * scale, height * scale), rng.uniform(0.1, 0.6, 3))
    return asset_of(body, "motorcycle", RIDER)


def bicycle(rng: np.random.Generator, detail: int = 1) -> Asset:
    """A bicycle."""
    scale = rng.uniform(0.97, 1.03)
    length, width, height = 1.75, 0.6, 1.05
    body = box((0, 0, height * scale / 2), (length * scale, width * scale, height * scale), rng.uniform(0.1, 0.6, 3))
    return asset_of(body, "bicycle", RIDER)
