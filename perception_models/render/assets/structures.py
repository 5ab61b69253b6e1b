"""What spans a road; it lies across x = 0 from y = -width / 2 to width / 2."""

from __future__ import annotations

import numpy as np

from perception_models.render.assets.asset import BUILDING, SIGN, Asset, asset_of
from perception_models.render.assets.shapes import box
from perception_models.render.mesh import join


def overpass(rng: np.random.Generator, width: float = 14.0, detail: int = 1) -> Asset:
    """A bridge over a clear opening of the given width."""
    deck = box((0, 0, 5.6), (10, width + 4, 1.2), (0.35, 0.35, 0.33))
    piers = [box((0, side * (width / 2 + 1), 2.5), (8, 1, 5.0), (0.35, 0.35, 0.33)) for side in (-1, 1)]
    return asset_of(join([deck, *piers]), None, BUILDING)


def gantry(rng: np.random.Generator, width: float = 14.0, detail: int = 1) -> Asset:
    """Direction boards on a gantry over the road; they face -x."""
    boards = box((0, 0, 6.5), (0.1, width * 0.5, 2.2), (0.01, 0.08, 0.3))
    posts = [box((0.3, side * width / 2, 3.3), (0.3, 0.3, 6.6), (0.3, 0.3, 0.3)) for side in (-1, 1)]
    return asset_of(boards, "traffic sign", SIGN, {"pole": join([*posts, box((0.3, 0, 6.5), (0.3, width, 0.3), (0.3, 0.3, 0.3))])})
