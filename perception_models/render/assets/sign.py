"""Traffic signs."""

from __future__ import annotations

import numpy as np

from perception_models.render.assets.asset import SIGN, Asset, asset_of
from perception_models.render.assets.shapes import box


def traffic_sign(rng: np.random.Generator, detail: int = 1) -> Asset:
    """A sign; faces -x."""
    scale = rng.uniform(0.97, 1.03)
    length, width, height = 0.1, 0.6, 2.5
    body = box((0, 0, height * scale / 2), (length * scale, width * scale, height * scale), rng.uniform(0.1, 0.6, 3))
    return asset_of(body, "traffic sign", SIGN)
