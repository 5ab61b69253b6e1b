"""Stationary objects along a road: buildings, trees, poles, signs, lamps, barriers, bridges."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from driving_scenes.roads.centerline import Road, pose
from driving_scenes.roads.cross_section import BARRIERS, Layout
from driving_scenes.roads.terrain import Terrain
from driving_scenes.scene.asset_pool import AssetKey, size
from driving_scenes.scene.object import SceneObject


def furnish(rng: np.random.Generator, road: Road, layout: Layout, terrain: Terrain) -> list[SceneObject]:
    """All stationary objects along a road except traffic lights."""
    objects: list[SceneObject] = []
    for side, verge in ((1, layout.verge[0]), (-1, layout.verge[1])):
        objects += _roadside(rng, road, layout, terrain, side, verge)
    if layout.median and layout.median[0] in BARRIERS:
        objects += barrier_run(rng, road, BARRIERS[layout.median[0]], layout.row(layout.median[1]), layout.s, 1, 300)
    if layout.median and layout.median[0] in ("grass", "wide", "trees") and rng.random() < 0.5:
        objects += _scatter(rng, road, layout.median[1], -20, 250, rng.uniform(8, 40), ["bush", "tree"], 0.8)
    if layout.scene != "tunnel":
        objects += _signs(rng, road, layout) + _lamps(rng, road, layout) + _overhead(rng, road, layout)
    return objects


def upright_object(
    rng: np.random.Generator,
    road: Road,
    asset_type: str,
    s: float,
    t: float,
    yaw: float = 0.0,
    up: float = 0.0,
    **options: object,
) -> SceneObject:
    """A random asset of a type, upright at s, t; `yaw` is relative to the road."""
    key = AssetKey.random(rng, asset_type, **options)
    return SceneObject(key, _upright(road.pose(s, t, 0.0, up), yaw))


def _upright(world_from_object: np.ndarray, yaw: float = 0.0) -> np.ndarray:
    """The same pose without pitch and roll, turned by `yaw`."""
    return pose(world_from_object[:3, 3], np.arctan2(world_from_object[1, 0], world_from_object[0, 0]) + yaw)


def barrier_run(
    rng: np.random.Generator,
    road: Road,
    asset_type: str,
    t: np.ndarray,
    s: np.ndarray,
    side: int,
    ahead: float,
    keep: Callable[[float], bool] = lambda s: True,
) -> list[SceneObject]:
    """A rail, wall or fence in 8 m pieces along offset t of samples s; side 1 stands on the left.

    keep: whether there is a piece around an s
    """
    key, out = AssetKey.random(rng, asset_type, length=8.0), []
    for start in np.arange(-40.0, ahead, 8.0):
        if keep(start + 4):
            out.append(fence_piece(key, road, (start, start + 8.0), np.interp([start, start + 8.0], s, t), side))
    return out


def fence_piece(
    key: AssetKey, road: Road, s: tuple[float, float], t: np.ndarray, side: int, up: float = 0.0
) -> SceneObject:
    """A piece of a fence from s[0] to s[1] at offsets t (2,), `up` above the road, all metres; side 1 stands left."""
    return SceneObject(key, _between(road.at(s, t, up), flip=side < 0))


def _between(ends: np.ndarray, flip: bool) -> np.ndarray:
    a, b = (ends[1], ends[0]) if flip else (ends[0], ends[1])
    x = (b - a) / np.linalg.norm(b - a)
    y = np.cross([0, 0, 1.0], x)
    y /= np.linalg.norm(y)
    world = np.eye(4)
    world[:3, :3], world[:3, 3] = np.stack([x, y, np.cross(x, y)], 1), (a + b) / 2
    return world


def _roadside(
    rng: np.random.Generator, road: Road, layout: Layout, terrain: Terrain, side: int, verge: str
) -> list[SceneObject]:
    edge = layout.row(layout.left if side > 0 else layout.right)
    if verge == "houses":
        return _houses(rng, road, layout, edge, side, rng.uniform(0, 3), rng.uniform(0, 6))
    if verge == "gardens":
        houses = _houses(rng, road, layout, edge, side, rng.uniform(4, 9), rng.uniform(4, 14))
        return houses + _gardens(rng, road, layout, edge, side)
    if verge == "none":
        return []
    return _countryside(rng, road, layout, terrain, edge, side, verge)


def _countryside(
    rng: np.random.Generator, road: Road, layout: Layout, terrain: Terrain, edge: np.ndarray, side: int, verge: str
) -> list[SceneObject]:
    """Barriers, plants, poles, fences and single houses on open land."""

    def outside(asset_type: str, s: float, d: float, yaw: float, sink: float) -> SceneObject:
        """An object d metres outside the edge, on the terrain."""
        t = np.interp(s, layout.s, edge) + side * d
        return upright_object(rng, road, asset_type, s, t, yaw, terrain.height(side, d) - sink)

    out: list[SceneObject] = []
    if verge in BARRIERS:
        out += barrier_run(rng, road, BARRIERS[verge], edge + side * 0.35, layout.s, side, 300)
    density = rng.choice([0.0, 0.3, 1.0, 2.0], p=[0.15, 0.3, 0.3, 0.25])
    count = int(rng.uniform(30, 60) * density)
    plants = ["tree", "bush"] if rng.random() < 0.7 else ["bush", "bush", "tree"]
    for _ in range(count):
        s, d = rng.uniform(-30, 330), rng.uniform(4.0, 12.0) + rng.exponential(12)
        d = min(d, 44.0)
        plant = str(rng.choice(plants))
        d = max(d, 6.0) if plant == "tree" else d
        out.append(outside(plant, s, d, rng.uniform(0, 6.28), 0.15))
    if rng.random() < 0.25:
        spacing = rng.uniform(30, 50)
        out += [outside("pole", s, 6.0, 0.0, 0.0) for s in np.arange(rng.uniform(0, 30), 320, spacing)]
    if verge in ("grass", "dirt") and rng.random() < 0.3:
        d = rng.uniform(5, 12)
        fence = barrier_run(rng, road, "fence", edge + side * d, layout.s, side, 250)
        for piece in fence:
            piece.world_from_object[2, 3] += terrain.height(side, d)
        out += fence
    for _ in range(int(rng.poisson(0.7))):
        d = rng.uniform(22, 40)
        out.append(outside("building", rng.uniform(30, 300), d, 0.0 if side > 0 else np.pi, 0.5))
    return out


def clear_of_junctions(layout: Layout, s0: float, s1: float, margin: float) -> bool:
    """Whether s0 to s1 keeps `margin` metres from every junction."""
    return all(s1 < at - half - margin or s0 > at + half + margin for at, half in layout.junctions)


def _houses(
    rng: np.random.Generator, road: Road, layout: Layout, edge: np.ndarray, side: int, setback: float, gap: float
) -> list[SceneObject]:
    out, s = [], -50.0
    while s < 260:
        key = AssetKey.random(rng, "building")
        length, width, _ = size(key)
        if clear_of_junctions(layout, s, s + length, 5.0) and rng.random() < 0.93:
            t = float(np.interp(s + length / 2, layout.s, edge)) + side * (setback + width / 2 + 0.1)
            world = road.pose(s + length / 2, t, 0.0 if side > 0 else np.pi, 0.05)
            out.append(SceneObject(key, _upright(world)))
        s += length + rng.uniform(0, gap) * (rng.random() < 0.7)
    if rng.random() < 0.55:
        outer = layout.paved[0] if side > 0 else layout.paved[1]
        spacing, d = rng.uniform(8, 25), side * rng.uniform(0.8, 1.4)
        for s in np.arange(-20 + rng.uniform(0, spacing), 220, spacing):
            if clear_of_junctions(layout, s, s, 5.0):
                out.append(
                    upright_object(
                        rng, road, str(rng.choice(["tree", "tree", "pole"])), s, outer + d, rng.uniform(0, 6), 0.12
                    )
                )
        out = [x for x in out if x.key.asset_type != "tree" or max(size(x.key)[:2]) < 5.5]
    for _ in range(int(rng.poisson(5))):
        s, outer = rng.uniform(0, 120), layout.paved[0] if side > 0 else layout.paved[1]
        if clear_of_junctions(layout, s, s, 3.0):
            asset_type = str(
                rng.choice(["bin", "parked_clutter", "bicycle", "pole", "bush"], p=[0.2, 0.25, 0.3, 0.15, 0.1])
            )
            out.append(
                upright_object(
                    rng, road, asset_type, s, outer + side * rng.uniform(0.6, 1.6), rng.uniform(-0.4, 0.4), 0.12
                )
            )
    return out


def _gardens(rng: np.random.Generator, road: Road, layout: Layout, edge: np.ndarray, side: int) -> list[SceneObject]:
    out = []
    for _ in range(int(rng.uniform(10, 40))):
        s = rng.uniform(-20, 200)
        if clear_of_junctions(layout, s, s, 4.0):
            t = np.interp(s, layout.s, edge) + side * rng.uniform(0.8, 4.0)
            out.append(upright_object(rng, road, str(rng.choice(["bush", "tree", "bush"])), s, t, rng.uniform(0, 6)))
    if rng.random() < 0.5:
        out += barrier_run(
            rng,
            road,
            "fence",
            edge + side * 0.3,
            layout.s,
            side,
            150,
            keep=lambda s: clear_of_junctions(layout, s, s, 6.0),
        )
    return out


def _scatter(
    rng: np.random.Generator,
    road: Road,
    t: float,
    s0: float,
    s1: float,
    spacing: float,
    asset_types: list[str],
    spread: float,
) -> list[SceneObject]:
    return [
        upright_object(
            rng, road, str(rng.choice(asset_types)), s, t + rng.uniform(-spread, spread), rng.uniform(0, 6), -0.2
        )
        for s in np.arange(s0 + rng.uniform(0, spacing), s1, spacing)
    ]


def _signs(rng: np.random.Generator, road: Road, layout: Layout) -> list[SceneObject]:
    out, near_side = [], 1 if layout.left_hand else -1
    highway = layout.scene == "highway"
    for _ in range(int(rng.poisson(2.6 if highway else 5.0))):
        s, facing = rng.uniform(0, 45) if rng.random() < 0.4 else rng.uniform(8, 150), rng.random() < 0.8
        side = near_side if facing or rng.random() < 0.3 else -near_side
        if highway:
            edge = np.interp(s, layout.s, layout.row(layout.left if side > 0 else layout.right))
            t = edge + side * rng.uniform(0.8, 3.0)
        else:
            t = (layout.paved[0] if side > 0 else layout.paved[1]) + side * rng.uniform(0.5, 1.2)
        if clear_of_junctions(layout, s, s, 1.0):
            out.append(
                upright_object(rng, road, "traffic_sign", s, t, (0.0 if facing else np.pi) + rng.normal(0, 0.08), 0.05)
            )
    return out


def _lamps(rng: np.random.Generator, road: Road, layout: Layout) -> list[SceneObject]:
    chance = {"highway": 0.3, "city street": 0.8, "residential": 0.7, "parking lot": 0.6}[layout.scene]
    if rng.random() > chance:
        return []
    out, spacing, both = [], rng.uniform(24, 45), rng.random() < 0.5
    for i, s in enumerate(np.arange(-10 + rng.uniform(0, spacing), 260, spacing)):
        for side in (1, -1) if both else (1 if i % 2 and layout.scene != "highway" else -1,):
            inside = layout.paved[0] if side > 0 else layout.paved[1]
            if clear_of_junctions(layout, s, s, 1.0):
                out.append(
                    upright_object(rng, road, "street_lamp", s, inside + side * 0.7, 0.0 if side < 0 else np.pi, 0.1)
                )
    return out


def _overhead(rng: np.random.Generator, road: Road, layout: Layout) -> list[SceneObject]:
    out, (left, right) = [], layout.paved
    if layout.scene == "highway" and rng.random() < 0.25:
        s = rng.uniform(30, 160)
        edge = float(np.interp(s, layout.s, layout.row(layout.right)))
        out.append(_spanning(rng, road, "gantry", s, 1.0, edge - 1.0))
    if layout.scene == "highway" and rng.random() < 0.2:
        out.append(_spanning(rng, road, "overpass", rng.uniform(40, 250), left + 1, right - 1))
    return out


def _spanning(rng: np.random.Generator, road: Road, asset_type: str, s: float, t0: float, t1: float) -> SceneObject:
    """An object across the road, its width rounded up to 4 m so that the pool stays small."""
    width = float(np.ceil(abs(t0 - t1) / 4) * 4)
    return upright_object(rng, road, asset_type, s, (t0 + t1) / 2, width=width)
