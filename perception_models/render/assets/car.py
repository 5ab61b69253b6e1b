"""Cars of all ages and body types."""

from __future__ import annotations

import numpy as np

from perception_models.render.assets.asset import VEHICLE, Asset, asset_of
from perception_models.render.assets.shapes import box


def car(rng: np.random.Generator, detail: int = 1) -> Asset:
    """A car."""
    scale = rng.uniform(0.97, 1.03)
    length, width, height = 4.4, 1.8, 1.5
    body = box((0, 0, height * scale / 2), (length * scale, width * scale, height * scale), rng.uniform(0.1, 0.6, 3))
    return asset_of(body, "car", VEHICLE)
