"""The static world of a drive: roads, terrain and stationary objects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driving_scenes.base.frequencies import ROAD_TYPES
from driving_scenes.roads.centerline import Road
from driving_scenes.roads.cross_section import Layout, Surface
from driving_scenes.roads.markings import bay_lines, ribbons, surface_details
from driving_scenes.roads.road_types import cross_section
from driving_scenes.roads.terrain import Ground, Terrain, band_ground, join_ground, verge_ground
from driving_scenes.scene.crossings import crossing_road, junction_marks, traffic_lights
from driving_scenes.scene.furniture import furnish
from driving_scenes.scene.object import SceneObject
from driving_scenes.scene.seats import street_seats
from driving_scenes.scene.street_fences import with_street_fences

SHAPES = {  # smallest bend radius in metres, steepest grade
    "highway": (350, 0.04),
    "rural": (110, 0.07),
    "city": (400, 0.03),
    "residential": (150, 0.04),
    "tunnel": (400, 0.03),
    "parking": (900, 0.01),
}
STATIC_TRACKS = 100_000  # first track id of stationary objects
SEATS, FENCES = 1, 2  # numbers of the generators of seats and fences


@dataclass(frozen=True, slots=True)
class World:
    """roads[0] is the one the ego car drives on; ribbons are (vertices, faces) of `markings.ribbons`."""

    road_type: str
    roads: list[tuple[Road, Layout]]
    ground: Ground
    ribbons: tuple[np.ndarray, np.ndarray]
    objects: list[SceneObject]

    @property
    def road(self) -> Road:
        return self.roads[0][0]

    @property
    def layout(self) -> Layout:
        return self.roads[0][1]


def build_world(seed: tuple[int, ...], road_type: str | None = None, ahead: float = 420.0) -> World:
    """A random world, reproducible from its seed. `ahead`: metres of road in front of s = 0.

    Raises ValueError for an unknown road type.
    """
    if road_type is not None and road_type not in ROAD_TYPES:
        raise ValueError(f"no road type {road_type!r}: choose one of {', '.join(ROAD_TYPES)}")
    rng = np.random.default_rng(seed)
    road_type = road_type or str(rng.choice(list(ROAD_TYPES), p=list(ROAD_TYPES.values())))
    radius, grade = SHAPES[road_type]
    straight = rng.random() < 0.35
    road = Road.random(
        rng, radius * (10 if straight else rng.uniform(1, 3)), grade * rng.choice([0.1, 0.5, 1.0]), ahead
    )
    layout = cross_section(rng, road_type, road.s)
    road = _flat_at(road, layout)
    roads = [(road, layout)] + [crossing_road(rng, road, layout, *j) for j in layout.junctions]
    terrain = random_terrain(rng, layout)
    parts = [band_ground(r, x, band) for r, x in roads for band in x.bands if band.valid.sum() > 1]
    parts += junction_marks(rng, road, layout) + surface_details(rng, road, layout) + bay_lines(road, layout)
    if road_type != "tunnel":
        parts += verge_ground(road, layout, terrain, rng)
    objects = furnish(rng, road, layout, terrain)
    if layout.signals:
        objects += traffic_lights(rng, road, layout)
    # Generators of their own: a seed's other objects stay where they are.
    objects += street_seats(np.random.default_rng([*seed, SEATS]), (road, layout), objects)
    for i, obj in enumerate(objects):
        obj.track = STATIC_TRACKS + i
    number = STATIC_TRACKS + len(objects)
    objects = with_street_fences(np.random.default_rng([*seed, FENCES]), (road, layout), objects)
    for i, obj in enumerate(x for x in objects if not x.track):
        obj.track = number + i
    return World(road_type, roads, join_ground([p for p in parts if len(p.faces)]), ribbons(roads), objects)


def _flat_at(road: Road, layout: Layout) -> Road:
    """The same road, straight and level at its junctions."""
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
    left, right = (Surface.DIRT if v == "dirt" else soils[int(rng.random() < 0.4)] for v in layout.verge)
    offset = (float(rng.random()), float(rng.random()))
    if layout.verge[0] in ("houses", "gardens"):
        return Terrain((0.0, 0.0), (0.0, 0.0), float(rng.uniform(0, 12)), offset, (left, right))
    bank = rng.choice([0.0, -0.25, 0.15, 0.35, 0.5], 2, p=[0.35, 0.15, 0.2, 0.2, 0.1])
    width = rng.uniform(4, 35, 2)
    relief = float(rng.choice([2, 12, 45, 110]))
    return Terrain((float(bank[0]), float(bank[1])), (float(width[0]), float(width[1])), relief, offset, (left, right))
