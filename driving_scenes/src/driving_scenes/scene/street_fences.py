"""Fences along streets: railings at the curb, and railings, fences and walls at the back of the sidewalk."""

from __future__ import annotations

import numpy as np

from driving_scenes.roads.centerline import Road
from driving_scenes.roads.cross_section import Layout
from driving_scenes.scene.asset_pool import AssetKey, size
from driving_scenes.scene.furniture import clear_of_junctions, fence_piece, upright_object
from driving_scenes.scene.object import SceneObject, clear

Street = tuple[Road, Layout]
AT_CURB, AT_BACK = 0.4, 0.7  # share of the sidewalks with a run of fence there
GREEN = 0.5  # share of the runs at the back with plants behind them instead of houses
PIECE = 4.0  # metres
FROM_CURB, FROM_BACK = 0.28, 0.1  # metres from the face of the curb, from the outer edge of the sidewalk
FROM_CROSSWALK, FROM_CORNER = 6.0, 4.0  # metres from a junction, at the curb and at the back
APART = 0.7  # metres between a run and a fence that stands there already
BACKS = {"spears": 0.3, "wall": 0.3, "guard": 0.1, "fence": 0.3}  # frequencies: types of railings, or another fence


def with_street_fences(rng: np.random.Generator, street: Street, objects: list[SceneObject]) -> list[SceneObject]:
    """The objects of a street and fences that are clear of them; houses behind some of these make way for plants."""
    if not street[1].is_street:
        return objects
    for side in (1, -1):
        if rng.random() < AT_CURB:
            objects = objects + _at_curb(rng, street, side, objects)
        if rng.random() < AT_BACK:
            objects = _with_back_fence(rng, street, side, objects)
    return objects


def _at_curb(rng: np.random.Generator, street: Street, side: int, objects: list[SceneObject]) -> list[SceneObject]:
    """A railing between road and sidewalk; none where people may cross anywhere."""
    layout, start = street[1], rng.uniform(-8, 40)
    ends = start, start + rng.uniform(8, 40)
    key = AssetKey.random(rng, "railing", railing_type="guard", length=PIECE)
    if not layout.junctions:
        return []
    return _run(street, key, layout.row(layout.curb(side) + side * FROM_CURB), ends, side, objects, FROM_CROSSWALK)


def _with_back_fence(
    rng: np.random.Generator, street: Street, side: int, objects: list[SceneObject]
) -> list[SceneObject]:
    """The objects, changed, and a fence between sidewalk and houses or plants."""
    layout, start = street[1], rng.uniform(-10, 45)
    ends = start, start + rng.uniform(10, 60)
    if rng.random() < GREEN:
        objects = [x for x in objects if not _is_house(x, street, side, ends)]
        objects = objects + _plants(rng, street, side, ends)
    key = _back_fence(rng)
    return objects + _run(street, key, _edge(layout, side) - side * FROM_BACK, ends, side, objects, FROM_CORNER)


def _back_fence(rng: np.random.Generator) -> AssetKey:
    fence_type = str(rng.choice(list(BACKS), p=list(BACKS.values())))
    if fence_type == "fence":
        return AssetKey.random(rng, "fence", length=PIECE)
    return AssetKey.random(rng, "railing", railing_type=fence_type, length=PIECE)


def _edge(layout: Layout, side: int) -> np.ndarray:
    """(N,) offset of the outer edge of a sidewalk, metres."""
    return layout.row(layout.left if side > 0 else layout.right)


def _is_house(obj: SceneObject, street: Street, side: int, ends: tuple[float, float]) -> bool:
    """Whether an object is a house of one side of the street that reaches between two s."""
    if obj.key.asset_type != "building":
        return False
    s, t = street[0].locate(obj.world_from_object[:2, 3])
    half = size(obj.key)[0] / 2
    return t * side > 0 and s + half > ends[0] and s - half < ends[1]


def _plants(rng: np.random.Generator, street: Street, side: int, ends: tuple[float, float]) -> list[SceneObject]:
    """Trees and bushes behind a fence."""
    (road, layout), out = street, []
    for s in rng.uniform(*ends, int((ends[1] - ends[0]) / rng.uniform(2, 9))):
        if clear_of_junctions(layout, s, s, FROM_CORNER):
            plant = str(rng.choice(["tree", "bush"], p=[0.55, 0.45]))
            behind = (3.0 if plant == "tree" else 1.0) + rng.exponential(4.0)
            t = float(np.interp(s, layout.s, _edge(layout, side))) + side * behind
            out.append(upright_object(rng, road, plant, s, t, rng.uniform(0, 6.28)))
    return out


def _run(
    street: Street,
    key: AssetKey,
    t: np.ndarray,
    ends: tuple[float, float],
    side: int,
    objects: list[SceneObject],
    margin: float,
) -> list[SceneObject]:
    """The pieces of a fence between two s, `margin` metres from junctions and clear of objects.

    t  (N,) its offset at the samples of the layout, metres
    """
    (road, layout), up = street, street[1].curb_height(side)
    fences = [x for x in objects if x.key.asset_type == "fence"]
    pieces = []
    for s in np.arange(*ends, PIECE):
        if clear_of_junctions(layout, s, s + PIECE, margin):
            ends_t = np.interp([s, s + PIECE], layout.s, t)
            pieces.append(fence_piece(key, road, (s, s + PIECE), ends_t, side, up))
    return [piece for piece in pieces if clear(piece, objects, 0.0) and clear(piece, fences, APART)]
