"""Fences, rails and walls; they run along x and their road side faces -y."""

from __future__ import annotations

import numpy as np

from perception_models.render.assets.asset import FENCE, Asset, asset_of
from perception_models.render.assets.shapes import box


def fence(rng: np.random.Generator, length: float = 4.0, detail: int = 1) -> Asset:
    """A fence."""
    scale = rng.uniform(0.97, 1.03)
    length, width, height = length, 0.06, 1.2
    body = box((0, 0, height * scale / 2), (length * scale, width * scale, height * scale), rng.uniform(0.1, 0.6, 3))
    return asset_of(body, None, FENCE)


def guard_rail(rng: np.random.Generator, length: float = 4.0, detail: int = 1) -> Asset:
    """A guard rail."""
    scale = rng.uniform(0.97, 1.03)
    length, width, height = length, 0.3, 0.75
    body = box((0, 0, height * scale / 2), (length * scale, width * scale, height * scale), rng.uniform(0.1, 0.6, 3))
    return asset_of(body, None, FENCE)


def concrete_barrier(rng: np.random.Generator, length: float = 4.0, detail: int = 1) -> Asset:
    """A concrete barrier."""
    scale = rng.uniform(0.97, 1.03)
    length, width, height = length, 0.6, 0.9
    body = box((0, 0, height * scale / 2), (length * scale, width * scale, height * scale), rng.uniform(0.1, 0.6, 3))
    return asset_of(body, None, FENCE)


def noise_wall(rng: np.random.Generator, length: float = 4.0, detail: int = 1) -> Asset:
    """A noise wall."""
    scale = rng.uniform(0.97, 1.03)
    length, width, height = length, 0.3, 4.0
    body = box((0, 0, height * scale / 2), (length * scale, width * scale, height * scale), rng.uniform(0.1, 0.6, 3))
    return asset_of(body, None, FENCE)
