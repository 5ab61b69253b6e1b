"""Traffic: driving and parked vehicles, pedestrians and riders, as functions of time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from driving_scenes.roads.centerline import Road
from driving_scenes.roads.cross_section import Lane, Layout
from driving_scenes.scene.asset_pool import AssetKey, size
from driving_scenes.scene.object import SceneObject

MIX = {  # relative frequencies of vehicles by scene
    "highway": {"car": 0.70, "truck": 0.17, "bus": 0.05, "motorcycle": 0.08},
    "city street": {"car": 0.64, "truck": 0.09, "bus": 0.09, "motorcycle": 0.1, "rider": 0.06, "train": 0.035},
    "residential": {"car": 0.78, "truck": 0.06, "bus": 0.03, "motorcycle": 0.05, "rider": 0.08},
}
MIX["tunnel"] = MIX["highway"]
MIX["parking lot"] = MIX["residential"]
HEADWAY = {"highway": 38, "tunnel": 30, "city street": 20, "residential": 45, "parking lot": 70}  # metres
Tint = tuple[float, float, float]
PAINTS = [  # linear RGB
    (0.75, 0.75, 0.75),
    (0.02, 0.02, 0.02),
    (0.18, 0.18, 0.19),
    (0.45, 0.46, 0.48),
    (0.02, 0.05, 0.22),
    (0.35, 0.02, 0.02),
    (0.03, 0.12, 0.06),
    (0.35, 0.27, 0.16),
    (0.55, 0.5, 0.4),
    (0.6, 0.2, 0.02),
    (0.6, 0.5, 0.05),
    (0.1, 0.2, 0.35),
]
PAINT_FREQUENCIES = np.array([0.19, 0.22, 0.2, 0.12, 0.09, 0.07, 0.03, 0.02, 0.02, 0.01, 0.01, 0.02])


@dataclass(slots=True)
class Actor:
    """A traffic participant that follows its lane at constant speed (0: parked or standing).

    s, shift  position along the lane and offset to the left of its centre at time 0, metres
    yaw       relative to the road, radians
    """

    key: AssetKey
    road: Road
    lane: Lane
    s: float
    shift: float
    yaw: float
    speed: float = 0.0  # metres per second along the lane's direction
    track: int = 0
    up: float = 0.0
    tint: Tint | None = None
    brake: float = 0.0
    blink: float = 0.0

    def at(self, time: float) -> SceneObject:
        """The actor as an object in the scene after `time` seconds."""
        s = self.s + self.lane.direction * self.speed * time
        t = float(np.interp(s, self.road.s, self.lane.t)) + self.shift
        world = self.road.pose(s, t, self.yaw, self.up)
        heading = np.arctan2(world[1, 0], world[0, 0])
        velocity = self.speed * np.cos(heading), self.speed * np.sin(heading)
        return SceneObject(self.key, world, self.track, velocity, self.tint, self.brake, self.blink)


def traffic(
    rng: np.random.Generator,
    roads: list[tuple[Road, Layout]],
    ego: tuple[Lane, float],
    speed: float,
    s_range: tuple[float, float],
    steady: bool = False,
) -> list[Actor]:
    """Actors for every lane of every road, none in the way of the ego car.

    ego      lane and s of the ego car
    s_range  stretch of road to fill
    steady   keep the ego car's path free for the whole drive, not only at its start
    """
    actors: list[Actor] = []
    density = rng.choice([0.15, 0.5, 1.0, 2.2], p=[0.14, 0.3, 0.34, 0.22])
    for number, (road, layout) in enumerate(roads):
        limits = (max(s_range[0], road.s[0] + 10), min(s_range[1], road.s[-1] - 10))
        for lane in layout.lanes:
            stretch = _Stretch(rng, road, layout, lane, *limits, density, speed if number == 0 else 6.0)
            found = POPULATE[lane.lane_type](stretch)
            actors += [a for a in found if not (number == 0 and _touches(a, lane, lane is ego[0], ego))]
        people = _crossing_people(rng, road, layout, density) if number == 0 else []
        people += _people_near(rng, road, layout, ego[1]) if number == 0 else []
        actors += [a for a in people if not (_touches(a, a.lane, False, ego) or _inside(a, actors))]
    if steady:
        actors = [a for a in actors if not _in_the_way(a, roads[0][0], ego, speed)]
    for i, actor in enumerate(actors):
        actor.track = i + 1
    return actors


def _touches(actor: Actor, lane: Lane, own_lane: bool, ego: tuple[Lane, float]) -> bool:
    """Whether an actor is too close to the ego car at time 0."""
    gap = abs(actor.s - ego[1]) - size(actor.key)[0] / 2
    if own_lane:
        return gap < 6.5 or (actor.s < ego[1] and gap < 12)
    near = abs(float(np.interp(actor.s, actor.road.s, lane.t - ego[0].t)) + actor.shift)
    return near < 2.2 and gap < 5 or (gap < 2.5 and near < 1.9)


def _inside(person: Actor, actors: list[Actor]) -> bool:
    """Whether a person on the road would stand in a vehicle."""
    t = float(np.interp(person.s, person.road.s, person.lane.t))
    for actor in actors:
        if actor.road is person.road and actor.key.asset_type != "pedestrian":
            length, width, _ = size(actor.key)
            across = t - float(np.interp(actor.s, actor.road.s, actor.lane.t)) - actor.shift
            if abs(actor.yaw % np.pi - np.pi / 2) < 0.5:
                length, width = width, length
            if abs(person.s - actor.s) < length / 2 + 0.35 and abs(across) < width / 2 + 0.35:
                return True
    return False


def _in_the_way(actor: Actor, road: Road, ego: tuple[Lane, float], speed: float) -> bool:
    """Whether the ego car would hit the actor later; actors in its own lane are set to its speed instead."""
    if actor.road is not road:
        actor.speed = 0.0
        return abs(actor.s) < 12.0
    if actor.lane is ego[0]:
        actor.speed, actor.brake = speed, 0.0
        return False
    apart = np.interp(actor.s, road.s, actor.lane.t - ego[0].t) + actor.shift
    return actor.s > ego[1] and abs(float(apart)) < 1.8


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A stretch of lane to fill with actors: from s = start to s = end, at `speed` and a relative `density`."""

    rng: np.random.Generator
    road: Road
    layout: Layout
    lane: Lane
    start: float
    end: float
    density: float
    speed: float

    @property
    def yaw(self) -> float:
        """Heading of the lane relative to the road."""
        return 0.0 if self.lane.direction > 0 else np.pi

    def free(self, s: float) -> bool:
        return self.lane.exists_at(s, self.road.s)

    def actor(self, key: AssetKey, s: float, shift: float, yaw: float, **state: Any) -> Actor:
        return Actor(key, self.road, self.lane, s, shift, yaw, **state)


def random_vehicle(rng: np.random.Generator, asset_type: str) -> tuple[AssetKey, Tint | None]:
    """A random vehicle and the paint that replaces its own, if any."""
    tint: Tint | None = None
    if asset_type == "car" and rng.random() < 0.6:
        paint = np.array(PAINTS[rng.choice(len(PAINTS), p=PAINT_FREQUENCIES)])
        red, green, blue = np.clip(paint * rng.uniform(0.75, 1.2, 3), 0.01, 0.85)
        tint = float(red), float(green), float(blue)
    options = {"vehicle": str(rng.choice(["bicycle", "motorcycle"]))} if asset_type == "rider" else {}
    return AssetKey.random(rng, asset_type, **options), tint


def _driving(on: _Stretch) -> list[Actor]:
    rng, lane, scene = on.rng, on.lane, on.layout.scene
    headway = HEADWAY[scene] / on.density
    out, s, pace = [], on.start + rng.exponential(headway), max(on.speed * rng.uniform(0.8, 1.15), 0)
    stopped = scene == "city street" and rng.random() < 0.3
    types, weights = list(MIX[scene]), np.array(list(MIX[scene].values())) / sum(MIX[scene].values())
    while s < on.end:
        asset_type = str(rng.choice(types, p=weights))
        key, tint = random_vehicle(rng, asset_type)
        length = size(key)[0]
        s += length / 2
        shift, yaw = rng.normal(0, 0.18), rng.normal(0, 0.015) + on.yaw
        if asset_type == "rider" and dict(key.options)["vehicle"] == "bicycle":
            shift += -lane.direction * (-1 if on.layout.left_hand else 1) * (lane.width / 2 - 0.5)
        if on.free(s):
            brake = float(stopped or rng.random() < 0.2)
            blink = float(rng.random() < 0.12)
            speed = 0.0 if stopped else pace
            out.append(on.actor(key, s, shift, yaw, speed=speed, tint=tint, brake=brake, blink=blink))
        s += length / 2 + 2.0 + rng.exponential(headway)
    return out


def _parked(on: _Stretch) -> list[Actor]:
    rng = on.rng
    out, s, fill = [], on.start + rng.uniform(0, 8), rng.choice([0.2, 0.6, 0.9])
    while s < min(on.end, 160):
        key, tint = random_vehicle(
            rng, str(rng.choice(["car", "truck", "motorcycle", "bicycle"], p=[0.86, 0.05, 0.05, 0.04]))
        )
        length = size(key)[0]
        if rng.random() < fill and on.free(s - length / 2) and on.free(s + length):
            yaw = (0.0 if (on.lane.direction > 0) ^ (rng.random() < 0.12) else np.pi) + rng.normal(0, 0.03)
            out.append(on.actor(key, s + length / 2, rng.normal(0, 0.12), yaw, tint=tint))
        s += length + rng.uniform(0.6, 2.0)
    return out


def _in_bays(on: _Stretch) -> list[Actor]:
    """Cars at right angles to the aisle, nose in or out."""
    rng, bay = on.rng, on.layout.bay_width
    out, fill = [], rng.choice([0.3, 0.7, 0.92])
    for s in np.arange(-30.0, min(on.end, 120.0), bay) + bay / 2:
        key, tint = random_vehicle(rng, "car")
        if rng.random() < fill and on.free(s) and size(key)[0] < on.lane.width + 0.4:
            yaw = rng.choice([-1, 1]) * np.pi / 2 + rng.normal(0, 0.04)
            out.append(on.actor(key, float(s), rng.normal(0, 0.2), yaw, tint=tint))
    return out


def _walking(on: _Stretch) -> list[Actor]:
    """Groups of pedestrians, many of them near the camera, and now and then a standing cyclist."""
    rng, lane = on.rng, on.lane
    count = rng.poisson({"city street": 9, "residential": 3.5}.get(on.layout.scene, 1) * on.density)
    out = []
    for _ in range(min(count, 16)):
        s, ahead = (rng.uniform(2, 30) if rng.random() < 0.45 else rng.uniform(0, 90)), rng.random() < 0.5
        shift = rng.uniform(-0.42, 0.42) * lane.width
        if not on.free(s):
            continue
        pace = rng.uniform(0.8, 1.6) * (rng.random() < 0.85)
        yaw = 0.0 if ahead else np.pi
        walkway = replace(on, lane=Lane(lane.t, lane.width, 1 if ahead else -1, "walk", lane.valid))
        for k in range(int(rng.choice([1, 2, 3, 5], p=[0.66, 0.2, 0.1, 0.04]))):
            key = AssetKey.random(rng, "pedestrian")
            s_k, shift_k = s + rng.normal(0, 0.5) * k, shift + 0.6 * k * (-1) ** k
            out.append(walkway.actor(key, s_k, shift_k, yaw + rng.normal(0, 0.4), speed=pace, up=0.12))
    if rng.random() < 0.25 * on.density:
        s = rng.uniform(8, 60)
        key = AssetKey.random(rng, "rider", vehicle="bicycle")
        if on.free(s):
            out.append(on.actor(key, s, 0.0, rng.choice([0.0, np.pi]), up=0.12))
    return out


def _cycling(on: _Stretch) -> list[Actor]:
    rng, out = on.rng, []
    for s in np.cumsum(rng.exponential(25 / on.density + 6, 8)):
        if s < 120 and on.free(s):
            key = AssetKey.random(rng, "rider", vehicle=str(rng.choice(["bicycle", "motorcycle"], p=[0.85, 0.15])))
            out.append(on.actor(key, float(s), rng.normal(0, 0.15), on.yaw, speed=rng.uniform(3, 7)))
    return out


POPULATE: dict[str, Callable[[_Stretch], list[Actor]]] = {  # by lane type
    "travel": _driving,
    "parking": _parked,
    "walk": _walking,
    "bicycle": _cycling,
    "bays": _in_bays,
}


def _crossing_people(rng: np.random.Generator, road: Road, layout: Layout, density: float) -> list[Actor]:
    """Pedestrians on the crosswalks, standing still."""
    crossings = [s - half - 2.5 for s, half in layout.junctions] + [s + half + 2.5 for s, half in layout.junctions]
    if layout.scene == "residential" and rng.random() < 0.3:
        crossings.append(float(rng.uniform(15, 50)))
    out = []
    for s in crossings:
        for _ in range(rng.poisson(0.6 + 1.6 * density)):
            t = rng.uniform(layout.paved[1], layout.paved[0])
            lane = Lane(layout.row(t), 1.0, 1, "walk")
            yaw = rng.choice([-1, 1]) * np.pi / 2 + rng.normal(0, 0.2)
            out.append(Actor(AssetKey.random(rng, "pedestrian"), road, lane, s + rng.normal(0, 0.8), 0.0, yaw))
    return out


def _people_near(rng: np.random.Generator, road: Road, layout: Layout, ego_s: float) -> list[Actor]:
    """People on the road close ahead: most at its edges, between parked cars or getting into them, some crossing."""
    if layout.scene not in ("city street", "residential", "parking lot") or rng.random() < 0.45:
        return []
    out, (left, right) = [], layout.paved
    for _ in range(int(rng.integers(1, 6))):
        edge = rng.choice([-1, 0, 1], p=[0.35, 0.3, 0.35])
        inward = rng.uniform(0.2, 2.2)
        t = {-1: right + inward, 1: left - inward, 0: rng.uniform(right + 0.3, left - 0.3)}[int(edge)]
        lane = Lane(layout.row(t), 1.0, 1, "walk")
        key, s = AssetKey.random(rng, "pedestrian"), ego_s + rng.uniform(4.5, 18)
        out.append(Actor(key, road, lane, float(s), 0.0, float(rng.uniform(-np.pi, np.pi))))
    return out
