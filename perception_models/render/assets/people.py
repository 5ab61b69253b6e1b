"""People on foot and on two wheels."""

from __future__ import annotations

import numpy as np

from perception_models.render.assets.asset import PEDESTRIAN, RIDER, Asset, asset_of
from perception_models.render.assets.cycles import bicycle, motorcycle
from perception_models.render.assets.shapes import box


def pedestrian(rng: np.random.Generator, detail: int = 1) -> Asset:
    """A person, walking or standing, who looks along x."""
    height = rng.uniform(1.5, 1.9)
    return asset_of(box((0, 0, height / 2), (0.4, 0.5, height), rng.uniform(0.05, 0.5, 3)), "pedestrian", PEDESTRIAN)


def rider(rng: np.random.Generator, vehicle: str = "bicycle", detail: int = 1) -> Asset:
    """A person on a bicycle or motorcycle; the vehicle is the part of its name."""
    ridden = {"bicycle": bicycle, "motorcycle": motorcycle}[vehicle](rng, detail)
    person = box((-0.1, 0, 1.25), (0.4, 0.5, 0.9), rng.uniform(0.05, 0.5, 3))
    return asset_of(person, "rider", RIDER, {vehicle: ridden.mesh})
