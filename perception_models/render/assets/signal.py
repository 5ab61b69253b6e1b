"""Traffic lights."""

from __future__ import annotations

import numpy as np

from perception_models.render.assets.asset import SIGN, Asset, asset_of
from perception_models.render.assets.shapes import box


def traffic_light(rng: np.random.Generator, state: str = "red", detail: int = 1) -> Asset:
    """A traffic light that shows red, yellow, green or none; its lenses face -x, its arm reaches towards +y."""
    housing = box((0, 0, 3.0), (0.25, 0.3, 0.9), (0.02, 0.02, 0.02))
    post = box((0.2, 0, 1.7), (0.12, 0.12, 3.4), (0.2, 0.2, 0.2))
    return asset_of(housing, "traffic light", SIGN, {"pole": post})
