"""People in the open door of a parked car."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from driving_scenes.scene.asset_pool import AssetKey, asset
from driving_scenes.scene.object import SceneObject, clear
from driving_scenes.scene.traffic import Actor

SHARE = 0.02  # of the parked cars
BEHIND_HINGE, BESIDE = 0.62, 0.36  # metres from the hinge of the door to the person, and from the side of the car


def with_people_at_doors(rng: np.random.Generator, actors: list[Actor], others: list[SceneObject]) -> list[Actor]:
    """The actors, some parked cars with a door open to the road, and who stands there; all clear of each other."""
    out = list(actors)
    for i, actor in enumerate(actors):
        if _is_parked_car(actor) and rng.random() < SHARE:
            opened = replace(actor, key=AssetKey("car", actor.key.variant, (("door", _road_side(actor)),)))
            if clear(opened.at(0.0), [*others, *(x.at(0.0) for x in out if x is not actor)]):
                out[i] = opened
                out.append(_beside(rng, opened, max(x.track for x in out) + 1))
    return out


def _is_parked_car(actor: Actor) -> bool:
    return actor.key.asset_type == "car" and actor.lane.lane_type == "parking" and actor.speed == 0


def _road_side(actor: Actor) -> int:
    """The side of a parked car that faces the middle of the road: 1 left, -1 right."""
    return -int(np.sign(actor.lane.t[0]) * np.sign(np.cos(actor.yaw)))


def _beside(rng: np.random.Generator, car: Actor, track: int) -> Actor:
    """A person between the open door and the car, who faces the car or the road."""
    door = asset(car.key).parts["door"].vertices
    side = int(np.sign(door[:, 1].mean()))
    x, y = door[:, 0].max() - BEHIND_HINGE, side * (np.abs(door[:, 1]).min() + BESIDE)
    along, left = x * np.cos(car.yaw) - y * np.sin(car.yaw), x * np.sin(car.yaw) + y * np.cos(car.yaw)
    yaw = car.yaw + rng.choice([-1, 1]) * np.pi / 2 + rng.normal(0, 0.5)
    key = AssetKey.random(rng, "pedestrian")
    return Actor(key, car.road, car.lane, car.s + along, car.shift + left, yaw, track=track)
