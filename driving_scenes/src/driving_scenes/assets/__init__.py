"""Assets of a driving scene: each function makes a random one and returns an Asset.

All take `detail`: 1 near, 0 far away (few triangles). Signs, signals and gantries face -x, towards the
approaching car; arms of lamps and signals reach towards +y; barriers run along x; building fronts, rails and seats
face -y.
"""

from __future__ import annotations

from collections.abc import Callable

from driving_scenes.assets.people.people import pedestrian, rider
from driving_scenes.assets.roadside.barriers import concrete_barrier, fence, guard_rail, low_wall, noise_wall
from driving_scenes.assets.roadside.building import building
from driving_scenes.assets.roadside.plants import bush, tree
from driving_scenes.assets.roadside.railing import railing
from driving_scenes.assets.roadside.sign import traffic_sign
from driving_scenes.assets.roadside.signal import traffic_light
from driving_scenes.assets.roadside.street import bench, bin, bus_stop, cone, parked_clutter, pole, street_lamp
from driving_scenes.assets.roadside.structures import gantry, overpass
from driving_scenes.assets.vehicles.bus import bus
from driving_scenes.assets.vehicles.car import car
from driving_scenes.assets.vehicles.cycles import bicycle, motorcycle
from driving_scenes.assets.vehicles.tram import train
from driving_scenes.assets.vehicles.truck import truck
from driving_scenes.base.asset import PART_LABELS, Asset

ASSETS: dict[str, Callable[..., Asset]] = {
    f.__name__: f
    for f in (
        *(car, truck, bus, train, motorcycle, bicycle, pedestrian, rider, traffic_light, traffic_sign),
        *(building, tree, bush, street_lamp, pole, fence, guard_rail, concrete_barrier, noise_wall, overpass, gantry),
        *(cone, bin, parked_clutter, bench, bus_stop, low_wall, railing),
    )
}

__all__ = ["ASSETS", "PART_LABELS", "Asset", *ASSETS]
