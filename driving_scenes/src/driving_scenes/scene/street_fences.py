"""Fences along streets: railings at the curb, and railings, fences and walls at the back of the sidewalk."""

from __future__ import annotations

import numpy as np

from driving_scenes.roads.centerline import Road
from driving_scenes.roads.cross_section import Layout
from driving_scenes.scene.asset_pool import AssetKey, size
from driving_scenes.scene.furniture import between, clear_of_junctions, upright_object
from driving_scenes.scene.object import SceneObject
from driving_scenes.scene.seats import clear, curb, curb_height

Street = tuple[Road, Layout]
SCENES = ("city street", "residential")
AT_CURB, AT_BACK = 0.4, 0.7  # share of the sidewalks with a run of fence there
GREEN = 0.5  # share of the runs at the back with plants behind them instead of houses
PIECE = 4.0  # metres
SETBACK = 0.4  # metres from the face of the curb
INSIDE = 0.2  # metres from the outer edge of the sidewalk
BACKS = {"spears": 0.3, "wall": 0.25, "guard": 0.1, "fence": 0.25, "low_wall": 0.1}


def with_street_fences(rng: np.random.Generator, street: Street, objects: list[SceneObject]) -> list[SceneObject]:
    """The objects of a street and fences that are clear of them; houses behind some of these make way for plants."""
    if street[1].scene not in SCENES:
        return objects
    for side in (1, -1):
        if rng.random() < AT_CURB:
            objects = objects + _at_curb(rng, street, side, objects)
        if rng.random() < AT_BACK:
            objects = _with_frontage(rng, street, side, objects)
    return objects


def _at_curb(rng: np.random.Generator, street: Street, side: int, objects: list[SceneObject]) -> list[SceneObject]:
    layout, start = street[1], rng.uniform(-8, 40)
    t = curb(layout, side)
    key = AssetKey.random(rng, "railing", kind="guard")
    return _run(street, key, layout.row(t + side * SETBACK), (start, start + rng.uniform(8, 40)), side, objects)


def _with_frontage(
    rng: np.random.Generator, street: Street, side: int, objects: list[SceneObject]
) -> list[SceneObject]:
    layout, start = street[1], rng.uniform(-10, 45)
    ends = start, start + rng.uniform(10, 60)
    if rng.random() < GREEN:
        objects = [x for x in objects if not _is_house(x, street, side, ends)]
        objects = objects + _plants(rng, street, side, ends)
    kind = str(rng.choice(list(BACKS), p=list(BACKS.values())))
    key = AssetKey.random(rng, kind) if kind in ("fence", "low_wall") else AssetKey.random(rng, "railing", kind=kind)
    return objects + _run(street, key, _edge(layout, side) - side * INSIDE, ends, side, objects)


def _edge(layout: Layout, side: int) -> np.ndarray:
    """(N,) offset of the outer edge of a sidewalk, metres."""
    return layout.row(layout.left if side > 0 else layout.right)


def _is_house(obj: SceneObject, street: Street, side: int, ends: tuple[float, float]) -> bool:
    """Whether an object is a house of one side of the street that reaches between two s."""
    if obj.key.asset_type != "building":
        return False
    s, t = _place(obj, street[0])
    half = size(obj.key)[0] / 2
    return t * side > 0 and s + half > ends[0] and s - half < ends[1]


def _place(obj: SceneObject, road: Road) -> tuple[float, float]:
    """s and t of an object, metres."""
    xy = obj.world_from_object[:2, 3]
    index = int(road.nearest(xy[None])[0][0])
    left = np.array([-np.sin(road.heading[index]), np.cos(road.heading[index])])
    return float(road.s[index]), float((xy - road.xyz[index, :2]) @ left)


def _plants(rng: np.random.Generator, street: Street, side: int, ends: tuple[float, float]) -> list[SceneObject]:
    """Trees and bushes behind a fence."""
    (road, layout), out = street, []
    for s in rng.uniform(*ends, int((ends[1] - ends[0]) / rng.uniform(2, 9))):
        if clear_of_junctions(layout, s, s, 4.0):
            plant = str(rng.choice(["tree", "bush"], p=[0.55, 0.45]))
            behind = (3.0 if plant == "tree" else 1.0) + rng.exponential(4.0)
            t = float(np.interp(s, layout.s, _edge(layout, side))) + side * behind
            out.append(upright_object(rng, road, plant, s, t, rng.uniform(0, 6.28)))
    return out


def _run(
    street: Street, key: AssetKey, t: np.ndarray, ends: tuple[float, float], side: int, objects: list[SceneObject]
) -> list[SceneObject]:
    """The pieces of a fence along offset t (N,) between two s, where they are clear of junctions and objects."""
    (road, layout), up = street, curb_height(street[1], curb(street[1], side))
    starts = [s for s in np.arange(*ends, PIECE) if clear_of_junctions(layout, s, s + PIECE, 4.0)]
    pieces = []
    for s in starts:
        across = np.interp([s, s + PIECE], layout.s, t)
        pieces.append(SceneObject(key, between(road.at([s, s + PIECE], across, up), flip=side < 0)))
    return [piece for piece in pieces if clear(piece, objects, 0.0)]
