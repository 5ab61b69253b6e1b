"""Buses."""

from __future__ import annotations

import numpy as np

from perception_models.render.assets.asset import VEHICLE, Asset, asset_of
from perception_models.render.assets.shapes import box


def bus(rng: np.random.Generator, detail: int = 1) -> Asset:
    """A bus."""
    scale = rng.uniform(0.97, 1.03)
    length, width, height = 11.5, 2.5, 3.1
    body = box((0, 0, height * scale / 2), (length * scale, width * scale, height * scale), rng.uniform(0.1, 0.6, 3))
    return asset_of(body, "bus", VEHICLE)
