"""Vehicles right in front of the camera or beside it, which fill the image or are cut by its edge; cyclists ahead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from driving_scenes.roads.centerline import Road
from driving_scenes.roads.cross_section import Lane, Layout
from driving_scenes.scene.asset_pool import AssetKey, size
from driving_scenes.scene.object import SceneObject, clear
from driving_scenes.scene.traffic import Actor, random_vehicle

MIX = {"car": 0.5, "truck": 0.24, "bus": 0.18, "motorcycle": 0.08}
GAP = 4.5, 8.5  # metres from the origin of the ego car to the bumper ahead
BESIDE = 2.4, 4.6  # metres between the centres of lanes side by side
CYCLISTS = 0.45  # share of the still images of streets that get some
FROM_EDGE = 0.4, 1.1  # metres from a cyclist to the side of the lane
CLEARANCE = 1.9, 0.8  # metres that other actors keep: between centres across the lane, between bumpers along it


def with_near_vehicles(
    rng: np.random.Generator, road: Road, layout: Layout, ego: tuple[Lane, float], speed: float, actors: list[Actor]
) -> list[Actor]:
    """Actors and, on both sides and ahead of the ego car at random, a vehicle in place of those where it stands.

    ego  lane and s of the ego car, which drives at `speed`; below 3 m/s it waits close behind the one ahead
    """
    found = []
    if speed < 3 or rng.random() < 0.1:
        found.append(_ahead(rng, road, ego, speed))
    beside = [lane for lane in layout.lanes if _is_beside(lane, ego, road)]
    found += [_alongside(rng, road, layout, lane, ego, speed) for lane in beside if rng.random() < 0.5]
    for new in found:
        new.track = max((a.track for a in actors), default=0) + 1
        actors = [a for a in actors if not _collide(a, new)] + [new]
    return actors


def _ahead(rng: np.random.Generator, road: Road, ego: tuple[Lane, float], speed: float) -> Actor:
    key, tint = random_vehicle(rng, _drawn_type(rng))
    s = ego[1] + rng.uniform(*GAP) + size(key)[0] / 2
    brake = float(rng.random() < 0.7)
    return Actor(key, road, ego[0], s, rng.normal(0, 0.2), rng.normal(0, 0.03), speed, 0, 0.0, tint, brake)


def _is_beside(lane: Lane, ego: tuple[Lane, float], road: Road) -> bool:
    apart = abs(float(np.interp(ego[1], road.s, lane.t - ego[0].t)))
    there = lane.exists_at(ego[1] - 6, road.s) and lane.exists_at(ego[1] + 14, road.s)
    return lane.lane_type in ("travel", "parking") and BESIDE[0] < apart < BESIDE[1] and there


def _alongside(
    rng: np.random.Generator, road: Road, layout: Layout, lane: Lane, ego: tuple[Lane, float], speed: float
) -> Actor:
    """A vehicle that overlaps the view of the camera: its rear bumper is 7 m behind to 6 m ahead of the ego car."""
    parked = lane.lane_type == "parking"
    key, tint = random_vehicle(rng, "car" if parked else _drawn_type(rng))
    s = ego[1] + rng.uniform(-7.0, 6.0) + size(key)[0] / 2 + 2.0
    yaw = (0.0 if lane.direction > 0 else np.pi) + rng.normal(0, 0.02)
    pace = 0.0 if parked else speed
    brake = float(speed < 3 and not parked and rng.random() < 0.7)
    return Actor(key, road, lane, s, rng.normal(0, 0.15), yaw, pace, 0, 0.0, tint, brake)


def _drawn_type(rng: np.random.Generator) -> str:
    return str(rng.choice(list(MIX), p=list(MIX.values())))


def _collide(a: Actor, new: Actor) -> bool:
    if a.road is not new.road:
        return False
    offsets = [float(np.interp(x.s, x.road.s, x.lane.t)) + x.shift for x in (a, new)]
    along = (size(a.key)[0] + size(new.key)[0]) / 2 + CLEARANCE[1]
    return abs(a.s - new.s) < along and abs(offsets[0] - offsets[1]) < CLEARANCE[0]


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
    if not street[1].is_street or rng.random() > CYCLISTS:
        return actors
    out = list(actors)
    for _ in range(int(rng.integers(1, 4))):
        new = _cyclist(rng, street, ego)
        if clear(new.at(0.0), [own, *(x.at(0.0) for x in out)], 0.3):
            out.append(replace(new, track=max((x.track for x in out), default=0) + 1))
    return out


def _cyclist(rng: np.random.Generator, street: tuple[Road, Layout], ego: tuple[Lane, float]) -> Actor:
    """Somebody on two wheels at the outer side of a travel lane."""
    road, layout = street
    lanes = layout.travel_lanes()
    lane = ego[0] if rng.random() < 0.65 else lanes[int(rng.integers(len(lanes)))]
    key = AssetKey.random(rng, "rider", vehicle=str(rng.choice(["bicycle", "motorcycle"], p=[0.85, 0.15])))
    outwards = lane.direction * (1 if layout.left_hand else -1)
    shift = outwards * (lane.width / 2 - rng.uniform(*FROM_EDGE))
    yaw = (0.0 if lane.direction > 0 else np.pi) + rng.normal(0, 0.08)
    return Actor(key, road, lane, ego[1] + rng.uniform(5, 30), shift, yaw, speed=rng.uniform(2, 6))
