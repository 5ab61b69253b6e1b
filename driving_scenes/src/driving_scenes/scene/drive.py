"""A drive through a world, and its state at one time: ego pose, traffic, light and road surface."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from driving_scenes.base.conditions import Conditions, random_conditions
from driving_scenes.base.mesh import Mesh
from driving_scenes.roads.cross_section import Lane
from driving_scenes.scene.asset_pool import AssetKey
from driving_scenes.scene.getting_out import with_people_at_doors
from driving_scenes.scene.near_traffic import with_cyclists, with_near_vehicles
from driving_scenes.scene.object import SceneObject
from driving_scenes.scene.seats import seated_people
from driving_scenes.scene.traffic import Actor, traffic
from driving_scenes.scene.world import World

OWN_CAR = AssetKey("car")  # stands for the ego car where others keep clear of it


@dataclass(frozen=True, slots=True)
class Ego:
    """The ego car follows a lane at constant speed, `shift` metres left of its centre, turned by `yaw` radians."""

    lane: Lane
    s: float
    shift: float
    yaw: float
    speed: float

    def at(self, world: World, time: float) -> tuple[np.ndarray, float, float, float]:
        """world_from_base, s, t and yaw rate after `time` seconds; the car sways a little in its lane."""
        s = self.s + self.speed * time
        sway = 0.12 * np.sin(0.5 * time) * (time > 0)
        t = float(np.interp(s, world.road.s, self.lane.t)) + self.shift + sway
        rate = float(np.interp(s, world.road.s, np.gradient(world.road.heading, world.road.s))) * self.speed
        return world.road.pose(s, t, self.yaw), s, t, rate


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything the renderer draws. `surface`: uniforms of the ground shaders; `seed`: random number for the light."""

    world: World
    conditions: Conditions
    surface: dict[str, Any]
    objects: list[SceneObject]
    world_from_base: np.ndarray
    ego_s: float
    ego_t: float
    speed: float
    yaw_rate: float
    seed: float
    ego_car: Mesh | None = None  # what the camera sees of its own car, in its optical frame


@dataclass(frozen=True, slots=True)
class Drive:
    """A world with traffic, people who sit, light and an ego car."""

    world: World
    ego: Ego
    actors: list[Actor]
    conditions: Conditions
    surface: dict[str, Any]
    seed: float
    seated: list[SceneObject] = field(default_factory=list)

    def snapshot(self, time: float = 0.0) -> Snapshot:
        """The state after `time` seconds."""
        pose, s, t, rate = self.ego.at(self.world, time)
        objects = [actor.at(time) for actor in self.actors] + self.seated + self.world.objects
        return Snapshot(self.world, self.conditions, self.surface, objects, pose, s, t, self.ego.speed, rate, self.seed)


def random_drive(rng: np.random.Generator, world: World, start: float | None = None, seconds: float = 0.0) -> Drive:
    """Light, traffic and the ego car for a world; a drive of some `seconds` has steady traffic and no jitter."""
    light = random_conditions(rng, world.road_type == "tunnel")
    lanes = world.layout.travel_lanes(own_direction=True)
    lane = lanes[rng.integers(len(lanes))]
    spread = 0.12 if seconds else (0.55 if rng.random() < 0.1 else 0.2)
    speed = {"highway": rng.uniform(15, 33), "rural": rng.uniform(10, 24)}.get(
        world.road_type, rng.uniform(2, 5) if world.road_type == "parking" else rng.uniform(4, 14)
    )
    s = rng.uniform(-15, 12) if start is None else start
    if start is None and rng.random() < 0.3:
        s, speed = _waiting(rng, world, s)
    ego = Ego(lane, s, rng.normal(0, spread), 0.0 if seconds else rng.normal(0, 0.012), speed)
    s_range = (s - 25.0, s + rng.uniform(80, 200) + speed * seconds)
    actors = traffic(rng, world.roads, (lane, s), speed, s_range, steady=seconds > 0)
    if not seconds and rng.random() < 0.4:
        actors = with_near_vehicles(rng, *world.roads[0], (lane, s), speed, actors)
    drive = Drive(world, ego, actors, light, random_surface(rng, world), float(rng.random() * 100))
    return _with_more_people(drive, still=not seconds)


def _with_more_people(drive: Drive, still: bool) -> Drive:
    """The drive with people who sit and, in a still image, at open doors and on two wheels: where nobody else is."""
    # Generators of their own: a seed's other objects stay where they are.
    rng, door_rng, cyclist_rng = np.random.default_rng(int(drive.seed * 1e12)).spawn(3)
    own = SceneObject(OWN_CAR, drive.ego.at(drive.world, 0.0)[0])
    actors = drive.actors
    if still:
        actors = with_people_at_doors(door_rng, actors, [own])
        actors = with_cyclists(cyclist_rng, drive.world.roads[0], (drive.ego.lane, drive.ego.s), actors, own)
    moving = [own, *(actor.at(0.0) for actor in actors)]
    seated = seated_people(rng, drive.world.roads[0], drive.world.objects, moving, drive.conditions)
    return replace(drive, actors=actors, seated=seated)


def _waiting(rng: np.random.Generator, world: World, s: float) -> tuple[float, float]:
    """s and speed of an ego car in a queue, or before the traffic lights of the first junction."""
    if world.layout.signals and rng.random() < 0.7:
        at, half = world.layout.junctions[0]
        s = at - half - rng.uniform(6.0, 16.0)
    return s, rng.uniform(0.0, 2.0)


def random_surface(rng: np.random.Generator, world: World) -> dict[str, Any]:
    """Colours and wear of the ground, as uniforms of the ground and ribbon shaders."""
    grey = rng.choice([rng.uniform(0.025, 0.09), rng.uniform(0.07, 0.2)], p=[0.6, 0.4])
    tone = 1 + rng.normal(0, 0.05, 3) + rng.normal(0, 0.04) * np.array([1, 0, -1.0])
    asphalt, pale = grey * tone, rng.uniform(0.16, 0.42) * (1 + rng.normal(0, 0.04, 3) + np.array([0.04, 0, -0.05]))
    lanes = world.layout.travel_lanes()
    dry = rng.random()
    green = np.array([0.07, 0.12, 0.025]) * rng.uniform(0.6, 1.6)
    straw = np.array([0.40, 0.29, 0.13]) * rng.uniform(0.5, 1.15)
    return {
        "uAsphalt": asphalt,
        "uShoulder": asphalt * (rng.uniform(0.75, 1.35) if rng.random() < 0.6 else 1.0),
        "uConcrete": pale,
        "uCurb": pale + (asphalt - pale) * 0.8 * (grey * 1e4 % 1),  # not drawn: other objects stay where they are
        "uPaving": asphalt * rng.uniform(0.8, 1.6)
        if rng.random() < 0.35
        else rng.uniform(0.12, 0.4) * (1 + rng.normal(0, 0.08, 3)),
        "uTile": rng.choice([0.3, 0.5, 0.6, 0.9, 1.5]) * np.array([rng.uniform(0.7, 1.6), 1.0]),
        "uTiled": rng.choice([0.0, rng.uniform(0.3, 1)], p=[0.35, 0.65]),
        "uGrass": green * (1 - dry * 0.5) + straw * dry * 0.5,
        "uDirt": straw * rng.uniform(0.8, 1.1),
        "uWall": rng.uniform(0.15, 0.6) * (1 + rng.normal(0, 0.06, 3)),
        "uPaint": np.full(3, rng.uniform(0.5, 0.8)),
        "uGrain": rng.uniform(0.1, 0.7),
        "uBlotch": rng.uniform(0.05, 0.7),
        "uCracks": rng.choice([0.0, rng.uniform(0, 1)]),
        "uTar": rng.choice([0.0, rng.uniform(0.3, 1)], p=[0.65, 0.35]),
        "uPatches": rng.choice([0.0, rng.uniform(0.02, 0.2)], p=[0.6, 0.4]),
        "uTracks": rng.normal(0, 0.12),
        "uWear": rng.choice([0.0, rng.uniform(0.05, 0.35), rng.uniform(0.35, 0.6)], p=[0.4, 0.42, 0.18]),
        "uLaneWidth": lanes[0].width,
        "uLaneShift": float(lanes[0].t[0] - lanes[0].width / 2),
        "uGrassScale": rng.uniform(0.5, 1.5),
        "uWallPanels": float(rng.random() < 0.6),
        "uPaintGain": rng.uniform(0.62, 1.12),
        "uSlabs": float(rng.random() < 0.6),
        "uGloss": rng.choice([0.0, rng.uniform(0.02, 0.25)], p=[0.7, 0.3]),
        "uStuds": float(rng.random() < 0.25),
        "uDirtiness": rng.choice([0.0, rng.uniform(0, 0.8)]),
    }
