"""One moment of a drive: where the car is, who is around, what the light and the road look like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driving_scenes.base.conditions import Conditions, conditions
from driving_scenes.base.mesh import Mesh
from driving_scenes.roads.cross_section import Lane
from driving_scenes.scene.object import SceneObject
from driving_scenes.scene.traffic import Actor, traffic
from driving_scenes.scene.world import World


@dataclass(frozen=True, slots=True)
class Ego:
    """The own car: it follows a lane at constant speed. `shift` metres left of the lane's middle, `yaw` radians."""

    lane: Lane
    s: float
    shift: float
    yaw: float
    speed: float

    def at(self, world: World, time: float) -> tuple[np.ndarray, float, float, float]:
        """world_from_base, s, t, yaw rate after `time` seconds; the car sways a little in its lane."""
        s = self.s + self.speed * time
        sway = 0.12 * np.sin(0.5 * time) * (time > 0)
        t = float(np.interp(s, world.road.s, self.lane.t)) + self.shift + sway
        rate = float(np.interp(s, world.road.s, np.gradient(world.road.heading, world.road.s))) * self.speed
        return world.road.pose(s, t, self.yaw), s, t, rate


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a renderer draws. `looks` are shader values of the ground; `glow` a random number for lit windows."""

    world: World
    conditions: Conditions
    looks: dict
    things: list[SceneObject]
    world_from_base: np.ndarray
    ego_s: float
    ego_t: float
    speed: float
    yaw_rate: float
    seed: float
    bonnet: Mesh | None = None  # of the own car, in the camera's optical frame


@dataclass(frozen=True, slots=True)
class Drive:
    """A world with traffic, light and an own car; `moment(time)` is its state."""

    world: World
    ego: Ego
    actors: list[Actor]
    conditions: Conditions
    looks: dict
    seed: float

    def snapshot(self, time: float = 0.0) -> Snapshot:
        pose, s, t, rate = self.ego.at(self.world, time)
        things = [actor.at(time) for actor in self.actors] + self.world.things
        return Snapshot(self.world, self.conditions, self.looks, things, pose, s, t, self.ego.speed, rate, self.seed)


def random_drive(rng: np.random.Generator, world: World, start: float | None = None, seconds: float = 0.0) -> Drive:
    """Light, traffic and the own car for a world."""
    light = conditions(rng, world.kind == "tunnel")
    lanes = [x for x in world.layout.lanes if x.kind == "travel" and x.direction > 0]
    lane = lanes[rng.integers(len(lanes))]
    spread = 0.12 if seconds else (0.55 if rng.random() < 0.1 else 0.2)
    speed = {"highway": rng.uniform(15, 33), "rural": rng.uniform(10, 24)}.get(
        world.kind, rng.uniform(2, 5) if world.kind == "parking" else rng.uniform(4, 14)
    )
    s = rng.uniform(-15, 12) if start is None else start
    ego = Ego(lane, s, rng.normal(0, spread), 0.0 if seconds else rng.normal(0, 0.012), speed)
    reach = (s - 25.0, s + rng.uniform(80, 200) + speed * seconds)
    actors = traffic(rng, world.roads, (lane, s), speed, reach, steady=seconds > 0)
    return Drive(world, ego, actors, light, random_looks(rng, world), float(rng.random() * 100))


def random_looks(rng: np.random.Generator, world: World) -> dict:
    """Colours and wear of the ground, as uniforms of the ground and ribbon shaders."""
    grey = rng.choice([rng.uniform(0.025, 0.09), rng.uniform(0.07, 0.2)], p=[0.6, 0.4])
    tone = 1 + rng.normal(0, 0.05, 3) + rng.normal(0, 0.04) * np.array([1, 0, -1.0])
    asphalt, pale = grey * tone, rng.uniform(0.16, 0.42) * (1 + rng.normal(0, 0.04, 3) + np.array([0.04, 0, -0.05]))
    lanes = [x for x in world.layout.lanes if x.kind == "travel"]
    dry = rng.random()
    green = np.array([0.07, 0.12, 0.025]) * rng.uniform(0.6, 1.6)
    straw = np.array([0.40, 0.29, 0.13]) * rng.uniform(0.5, 1.15)
    return {
        "uAsphalt": asphalt,
        "uShoulder": asphalt * (rng.uniform(0.75, 1.35) if rng.random() < 0.6 else 1.0),
        "uConcrete": pale,
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
