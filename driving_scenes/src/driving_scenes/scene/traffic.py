"""Who moves: vehicles in their lanes, parked ones, people and riders; a function of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driving_scenes.roads.centerline import Road
from driving_scenes.roads.cross_section import Lane, Layout
from driving_scenes.scene.asset_pool import Key, size
from driving_scenes.scene.object import SceneObject

MIX = {
    "highway": {"car": 0.70, "truck": 0.17, "bus": 0.05, "motorcycle": 0.08},
    "city street": {"car": 0.64, "truck": 0.09, "bus": 0.09, "motorcycle": 0.1, "rider": 0.06, "train": 0.035},
    "residential": {"car": 0.78, "truck": 0.06, "bus": 0.03, "motorcycle": 0.05, "rider": 0.08},
}
MIX["tunnel"] = MIX["highway"]
MIX["parking lot"] = MIX["residential"]
PAINTS = [
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
COMMON = np.array([0.22, 0.18, 0.16, 0.16, 0.08, 0.08, 0.03, 0.02, 0.02, 0.02, 0.01, 0.02])


@dataclass(slots=True)
class Actor:
    """Something that follows a lane at constant speed; s, t at time 0."""

    key: Key
    road: Road
    lane: Lane
    s: float
    shift: float
    yaw: float
    speed: float  # metres per second along the lane's direction
    track: int
    up: float = 0.0
    tint: tuple[float, float, float] | None = None
    brake: float = 0.0
    blink: float = 0.0

    def at(self, time: float) -> SceneObject:
        """Where it is after `time` seconds."""
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
    reach: tuple[float, float],
    steady: bool = False,
) -> list[Actor]:
    """Actors for every lane of every road; nothing stands in the place of the ego car (its lane and s).

    With `steady` the drive goes on: nobody gets into the way of the ego car later on either.
    """
    actors: list[Actor] = []
    density = rng.choice([0.15, 0.5, 1.0, 2.2], p=[0.14, 0.3, 0.34, 0.22])
    for number, (road, layout) in enumerate(roads):
        for lane in layout.lanes:
            place = {"travel": _driving, "parking": _parked, "walk": _walking, "bicycle": _cycling, "bays": _in_bays}[
                lane.kind
            ]
            mine = lane is ego[0]
            limits = (max(reach[0], road.s[0] + 10), min(reach[1], road.s[-1] - 10))
            found = place(rng, road, layout, lane, limits, density, speed if number == 0 else 6.0)
            actors += [a for a in found if not (number == 0 and _touches(a, lane, mine, ego))]
        people = _crossing_people(rng, road, layout, density) if number == 0 else []
        actors += [a for a in people if not _touches(a, a.lane, False, ego)]
    if steady:
        actors = [a for a in actors if not _in_the_way(a, roads[0][0], ego, speed)]
    for i, actor in enumerate(actors):
        actor.track = i + 1
    return actors


def _touches(actor: Actor, lane: Lane, mine: bool, ego: tuple[Lane, float]) -> bool:
    gap = abs(actor.s - ego[1]) - size(actor.key)[0] / 2
    if mine:
        return gap < 6.5 or (actor.s < ego[1] and gap < 12)
    near = abs(float(np.interp(actor.s, actor.road.s, lane.t - ego[0].t)) + actor.shift)
    return near < 2.2 and gap < 5 or (gap < 2.5 and near < 1.9)


def _in_the_way(actor: Actor, road: Road, ego: tuple[Lane, float], speed: float) -> bool:
    """Whether the ego car would meet the actor; who drives before it in its lane takes over its speed."""
    if actor.road is not road:
        actor.speed = 0.0
        return abs(actor.s) < 12.0
    if actor.lane is ego[0]:
        actor.speed, actor.brake = speed, 0.0
        return False
    apart = np.interp(actor.s, road.s, actor.lane.t - ego[0].t) + actor.shift
    return actor.s > ego[1] and abs(float(apart)) < 1.8


def _there(lane: Lane, road: Road, s: float) -> bool:
    return lane.valid is None or bool(np.interp(s, road.s, lane.valid.astype(float)) > 0.99)


def _vehicle(rng, kind: str) -> tuple[Key, tuple | None]:
    tint = PAINTS[rng.choice(len(PAINTS), p=COMMON)] if kind == "car" and rng.random() < 0.6 else None
    if tint is not None:
        tint = tuple(float(c) for c in np.clip(np.array(tint) * rng.uniform(0.75, 1.2, 3), 0.01, 0.85))
    options = {"vehicle": str(rng.choice(["bicycle", "motorcycle"]))} if kind == "rider" else {}
    return Key.random(rng, kind, **options), tint


def _driving(rng, road: Road, layout: Layout, lane: Lane, reach, density: float, speed: float) -> list[Actor]:
    mix = MIX[layout.scene]
    headway = {"highway": 38, "tunnel": 30, "city street": 20, "residential": 45, "parking lot": 70}[
        layout.scene
    ] / density
    out, s, pace = [], reach[0] + rng.exponential(headway), max(speed * rng.uniform(0.8, 1.15), 0)
    stopped = layout.scene == "city street" and rng.random() < 0.3
    while s < reach[1]:
        kind = str(rng.choice(list(mix), p=np.array(list(mix.values())) / sum(mix.values())))
        key, tint = _vehicle(rng, kind)
        long = size(key)[0]
        s += long / 2
        shift, yaw = rng.normal(0, 0.18), rng.normal(0, 0.015) + (0.0 if lane.direction > 0 else np.pi)
        if kind == "rider" and dict(key.options)["vehicle"] == "bicycle":
            shift += -lane.direction * (1 if not layout.plan.get("left_hand") else -1) * (lane.width / 2 - 0.5)
        if _there(lane, road, s):
            brake = float(stopped or rng.random() < 0.2)
            blink = float(rng.random() < 0.12)
            out.append(Actor(key, road, lane, s, shift, yaw, 0.0 if stopped else pace, 0, 0.0, tint, brake, blink))
        s += long / 2 + 2.0 + rng.exponential(headway)
    return out


def _parked(rng, road: Road, layout: Layout, lane: Lane, reach, density: float, speed: float) -> list[Actor]:
    out, s, fill = [], reach[0] + rng.uniform(0, 8), rng.choice([0.2, 0.6, 0.9])
    while s < min(reach[1], 160):
        kind = str(rng.choice(["car", "truck", "motorcycle", "bicycle"], p=[0.86, 0.05, 0.05, 0.04]))
        key, tint = _vehicle(rng, kind)
        long = size(key)[0]
        if rng.random() < fill and _there(lane, road, s - long / 2) and _there(lane, road, s + long):
            yaw = (0.0 if (lane.direction > 0) ^ (rng.random() < 0.12) else np.pi) + rng.normal(0, 0.03)
            out.append(Actor(key, road, lane, s + long / 2, rng.normal(0, 0.12), yaw, 0.0, 0, 0.0, tint))
        s += long + rng.uniform(0.6, 2.0)
    return out


def _in_bays(rng, road: Road, layout: Layout, lane: Lane, reach, density: float, speed: float) -> list[Actor]:
    """Cars across the aisle, nose in or out."""
    out, wide, fill = [], layout.plan["bay"], rng.choice([0.3, 0.7, 0.92])
    for s in np.arange(-30.0, min(reach[1], 120.0), wide) + wide / 2:
        key, tint = _vehicle(rng, "car")
        if rng.random() < fill and _there(lane, road, s) and size(key)[0] < lane.width + 0.4:
            yaw = rng.choice([-1, 1]) * np.pi / 2 + rng.normal(0, 0.04)
            out.append(Actor(key, road, lane, float(s), rng.normal(0, 0.2), yaw, 0.0, 0, 0.0, tint))
    return out


def _walking(rng, road: Road, layout: Layout, lane: Lane, reach, density: float, speed: float) -> list[Actor]:
    count = rng.poisson({"city street": 7, "residential": 2.5}.get(layout.scene, 1) * density)
    out = []
    for _ in range(min(count, 16)):
        s, ahead = rng.uniform(0, 90), rng.random() < 0.5
        shift = rng.uniform(-0.42, 0.42) * lane.width
        if not _there(lane, road, s):
            continue
        pace = rng.uniform(0.8, 1.6) * (rng.random() < 0.85)
        yaw = 0.0 if ahead else np.pi
        walker = Lane(lane.t, lane.width, 1 if ahead else -1, "walk", lane.valid)
        for k in range(int(rng.choice([1, 1, 2, 3], p=[0.5, 0.2, 0.2, 0.1]))):
            out.append(
                Actor(
                    Key.random(rng, "pedestrian"),
                    road,
                    walker,
                    s + rng.normal(0, 0.5) * k,
                    shift + 0.6 * k * (-1) ** k,
                    yaw + rng.normal(0, 0.4),
                    pace,
                    0,
                    0.12,
                )
            )
    if rng.random() < 0.25 * density:
        s = rng.uniform(8, 60)
        key = Key.random(rng, "rider", vehicle="bicycle")
        if _there(lane, road, s):
            out.append(Actor(key, road, lane, s, 0.0, rng.choice([0.0, np.pi]), 0.0, 0, 0.12))
    return out


def _cycling(rng, road: Road, layout: Layout, lane: Lane, reach, density: float, speed: float) -> list[Actor]:
    out, yaw = [], 0.0 if lane.direction > 0 else np.pi
    for s in np.cumsum(rng.exponential(25 / density + 6, 8)):
        if s < 120 and _there(lane, road, s):
            key = Key.random(rng, "rider", vehicle=str(rng.choice(["bicycle", "motorcycle"], p=[0.85, 0.15])))
            out.append(Actor(key, road, lane, float(s), rng.normal(0, 0.15), yaw, rng.uniform(3, 7), 0))
    return out


def _crossing_people(rng, road: Road, layout: Layout, density: float) -> list[Actor]:
    out = []
    places = [s - half - 2.5 for s, half in layout.junctions] + [s + half + 2.5 for s, half in layout.junctions]
    if layout.scene == "residential" and rng.random() < 0.3:
        places.append(float(rng.uniform(15, 50)))
    for s in places:
        for _ in range(rng.poisson(1.2 * density)):
            t = rng.uniform(layout.paved[1], layout.paved[0])
            lane = Lane(layout.row(t), 1.0, 1, "walk")
            yaw = rng.choice([-1, 1]) * np.pi / 2 + rng.normal(0, 0.2)
            out.append(Actor(Key.random(rng, "pedestrian"), road, lane, s + rng.normal(0, 0.8), 0.0, yaw, 0.0, 0))
    return out
