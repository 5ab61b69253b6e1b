"""A place to drive through: roads, land and everything that stands still. Built once, looked at several times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driving_scenes.roads.centerline import Road
from driving_scenes.roads.cross_section import Layout, Surface
from driving_scenes.roads.markings import bays, litter, ribbons
from driving_scenes.roads.road_types import cross_section
from driving_scenes.roads.terrain import Ground, Terrain, band_ground, join_ground, verge_ground
from driving_scenes.scene.crossings import crossing_road, junction_marks, traffic_lights
from driving_scenes.scene.furniture import furnish
from driving_scenes.scene.object import SceneObject

KINDS = {"highway": 0.38, "rural": 0.15, "city": 0.31, "residential": 0.09, "tunnel": 0.04, "parking": 0.03}
SHAPES = {
    "highway": (350, 0.04),
    "rural": (110, 0.07),
    "city": (400, 0.03),
    "residential": (150, 0.04),
    "tunnel": (400, 0.03),
    "parking": (900, 0.01),
}
LIGHT_TRACKS = 100_000  # track ids of traffic lights and signs begin here


@dataclass(frozen=True, slots=True)
class World:
    """roads[0] is the one the car drives on; ribbons are (vertices, faces) of `markings.ribbons`."""

    kind: str
    roads: list[tuple[Road, Layout]]
    ground: Ground
    ribbons: tuple[np.ndarray, np.ndarray]
    things: list[SceneObject]
    terrain: Terrain

    @property
    def road(self) -> Road:
        return self.roads[0][0]

    @property
    def layout(self) -> Layout:
        return self.roads[0][1]


def build_world(seed: tuple[int, ...], kind: str | None = None, ahead: float = 420.0) -> World:
    """A random place; the same seed gives the same place."""
    rng = np.random.default_rng(seed)
    kind = kind or str(rng.choice(list(KINDS), p=list(KINDS.values())))
    radius, grade = SHAPES[kind]
    straight = rng.random() < 0.35
    road = Road.random(
        rng, radius * (10 if straight else rng.uniform(1, 3)), grade * rng.choice([0.1, 0.5, 1.0]), ahead
    )
    layout = cross_section(rng, kind, road.s)
    road = _flat_at(road, layout)
    roads = [(road, layout)] + [crossing_road(rng, road, layout, *j) for j in layout.junctions]
    terrain = random_terrain(rng, layout)
    parts = [band_ground(r, x, band) for r, x in roads for band in x.bands if band.valid.sum() > 1]
    parts += junction_marks(rng, road, layout) + litter(rng, road, layout) + bays(rng, road, layout)
    if kind != "tunnel":
        parts += verge_ground(road, layout, terrain, rng)
    things = furnish(rng, road, layout, terrain)
    if layout.plan.get("signals"):
        things += traffic_lights(rng, road, layout, LIGHT_TRACKS)
    for i, thing in enumerate(things):
        thing.track = LIGHT_TRACKS + i
    return World(kind, roads, join_ground([p for p in parts if len(p.faces)]), ribbons(roads), things, terrain)


def _flat_at(road: Road, layout: Layout) -> Road:
    """The same road without slope or bend where another one crosses it."""
    if not layout.junctions:
        return road
    keep = np.ones(len(road.s))
    for at, half in layout.junctions:
        keep = np.minimum(keep, np.clip((np.abs(road.s - at) - half - 8) / 20, 0, 1))
    curvature, slope = np.gradient(road.heading, road.s) * keep, np.gradient(road.xyz[:, 2], road.s) * keep
    return Road.from_curvature(road.s, curvature, slope)


def random_terrain(rng: np.random.Generator, layout: Layout) -> Terrain:
    """Flat beside streets; anything from embankment to cutting beside country roads."""
    soils = [Surface.GRASS, Surface.DIRT]
    picked = tuple(Surface.DIRT if v == "dirt" else soils[int(rng.random() < 0.4)] for v in layout.verge)
    offset = (float(rng.random()), float(rng.random()))
    if layout.verge[0] in ("houses", "gardens"):
        return Terrain((0.0, 0.0), (0.0, 0.0), float(rng.uniform(0, 12)), offset, picked)
    bank = tuple(float(b) for b in rng.choice([0.0, -0.25, 0.15, 0.35, 0.5], 2, p=[0.35, 0.15, 0.2, 0.2, 0.1]))
    reach = tuple(float(r) for r in rng.uniform(4, 35, 2))
    return Terrain(bank, reach, float(rng.choice([2, 12, 45, 110])), offset, picked)
