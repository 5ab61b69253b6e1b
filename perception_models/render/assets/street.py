"""What stands along a street."""

from __future__ import annotations

import numpy as np

from perception_models.render.assets.asset import IGNORE, POLE, SIGN, Asset, asset_of
from perception_models.render.assets.shapes import box


def street_lamp(rng: np.random.Generator, detail: int = 1) -> Asset:
    """A street lamp; its arm reaches towards +y."""
    scale = rng.uniform(0.97, 1.03)
    length, width, height = 0.3, 0.3, 8.0
    body = box((0, 0, height * scale / 2), (length * scale, width * scale, height * scale), rng.uniform(0.1, 0.6, 3))
    return asset_of(body, None, POLE)


def pole(rng: np.random.Generator, detail: int = 1) -> Asset:
    """A pole."""
    scale = rng.uniform(0.97, 1.03)
    length, width, height = 0.2, 0.2, 5.0
    body = box((0, 0, height * scale / 2), (length * scale, width * scale, height * scale), rng.uniform(0.1, 0.6, 3))
    return asset_of(body, None, POLE)


def cone(rng: np.random.Generator, detail: int = 1) -> Asset:
    """A traffic cone."""
    scale = rng.uniform(0.97, 1.03)
    length, width, height = 0.36, 0.36, 0.7
    body = box((0, 0, height * scale / 2), (length * scale, width * scale, height * scale), rng.uniform(0.1, 0.6, 3))
    return asset_of(body, None, SIGN)


def bin(rng: np.random.Generator, detail: int = 1) -> Asset:
    """A rubbish bin."""
    scale = rng.uniform(0.97, 1.03)
    length, width, height = 0.6, 0.6, 1.0
    body = box((0, 0, height * scale / 2), (length * scale, width * scale, height * scale), rng.uniform(0.1, 0.6, 3))
    return asset_of(body, None, IGNORE)


def parked_clutter(rng: np.random.Generator, detail: int = 1) -> Asset:
    """What stands on a sidewalk."""
    scale = rng.uniform(0.97, 1.03)
    length, width, height = 0.8, 0.5, 0.9
    body = box((0, 0, height * scale / 2), (length * scale, width * scale, height * scale), rng.uniform(0.1, 0.6, 3))
    return asset_of(body, None, IGNORE)
