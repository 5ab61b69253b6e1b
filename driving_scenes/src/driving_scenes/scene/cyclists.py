"""Cyclists and motorcyclists close ahead of the ego car, who keep to the side of their lanes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from driving_scenes.roads.centerline import Road
from driving_scenes.roads.cross_section import Lane, Layout
from driving_scenes.scene.asset_pool import AssetKey
from driving_scenes.scene.object import SceneObject
from driving_scenes.scene.seats import clear
from driving_scenes.scene.traffic import Actor

SCENES = ("city street", "residential")
SHARE = 0.45  # of the images of streets
FROM_EDGE = 0.4, 1.1  # metres from the side of the lane


def with_cyclists(
    rng: np.random.Generator,
    street: tuple[Road, Layout],
    ego: tuple[Lane, float],
    actors: list[Actor],
    own: SceneObject,
) -> list[Actor]:
    """The actors and one to three on two wheels, 5 to 30 m ahead, clear of the others; more in the ego car's lane.

    ego  lane and s of the ego car; own: the ego car itself
    """
    if street[1].scene not in SCENES or rng.random() > SHARE:
        return actors
    out = list(actors)
    for _ in range(int(rng.integers(1, 4))):
        new = _cyclist(rng, street, ego)
        if clear(new.at(0.0), [own, *(x.at(0.0) for x in out)], 0.3):
            out.append(replace(new, track=max((x.track for x in out), default=0) + 1))
    return out


def _cyclist(rng: np.random.Generator, street: tuple[Road, Layout], ego: tuple[Lane, float]) -> Actor:
    road, layout = street
    lanes = layout.travel_lanes()
    lane = ego[0] if rng.random() < 0.65 else lanes[int(rng.integers(len(lanes)))]
    key = AssetKey.random(rng, "rider", vehicle=str(rng.choice(["bicycle", "motorcycle"], p=[0.85, 0.15])))
    outwards = lane.direction * (1 if layout.left_hand else -1)
    shift = outwards * (lane.width / 2 - rng.uniform(*FROM_EDGE))
    yaw = (0.0 if lane.direction > 0 else np.pi) + rng.normal(0, 0.08)
    return Actor(key, road, lane, ego[1] + rng.uniform(5, 30), shift, yaw, speed=rng.uniform(2, 6))
