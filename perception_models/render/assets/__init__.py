"""The things a driving scene is made of: each function draws one from a random generator and returns an Asset.

All take `detail`: 1 as seen near, 0 far away (few triangles). Signs, signals and gantries face -x, towards the
approaching car; arms of lamps and signals reach towards +y; barriers run along x; building fronts and rails face -y.
"""

from __future__ import annotations

from perception_models.render.assets.asset import PART_LABELS, Asset
from perception_models.render.assets.barriers import concrete_barrier, fence, guard_rail, noise_wall
from perception_models.render.assets.building import building
from perception_models.render.assets.bus import bus
from perception_models.render.assets.car import car
from perception_models.render.assets.cycles import bicycle, motorcycle
from perception_models.render.assets.people import pedestrian, rider
from perception_models.render.assets.plants import bush, tree
from perception_models.render.assets.sign import traffic_sign
from perception_models.render.assets.signal import traffic_light
from perception_models.render.assets.street import bin, cone, parked_clutter, pole, street_lamp
from perception_models.render.assets.structures import gantry, overpass
from perception_models.render.assets.train import train
from perception_models.render.assets.truck import truck

ASSETS = {
    f.__name__: f
    for f in (
        *(car, truck, bus, train, motorcycle, bicycle, pedestrian, rider, traffic_light, traffic_sign),
        *(building, tree, bush, street_lamp, pole, fence, guard_rail, concrete_barrier, noise_wall, overpass, gantry),
        *(cone, bin, parked_clutter),
    )
}

__all__ = ["ASSETS", "PART_LABELS", "Asset", *ASSETS]
