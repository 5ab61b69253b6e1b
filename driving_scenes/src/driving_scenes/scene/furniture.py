"""What stands beside a road: houses, trees, poles, signs, signals, rails, bridges."""

from __future__ import annotations

import numpy as np

from driving_scenes.roads.centerline import Road
from driving_scenes.roads.cross_section import Layout
from driving_scenes.roads.terrain import Terrain
from driving_scenes.scene.asset_pool import Key, size
from driving_scenes.scene.object import SceneObject

RAILS = {"rail": "guard_rail", "wall": "noise_wall", "barrier": "concrete_barrier"}


def furnish(rng: np.random.Generator, road: Road, layout: Layout, terrain: Terrain) -> list[SceneObject]:
    """Everything static along a road."""
    things = []
    for side, verge in ((1, layout.verge[0]), (-1, layout.verge[1])):
        things += _beside(rng, road, layout, terrain, side, verge)
    if layout.median and layout.median[0] in ("barrier", "rail"):
        kind = {"barrier": "concrete_barrier", "rail": "guard_rail"}[layout.median[0]]
        things += run_of(rng, road, kind, layout.row(layout.median[1]), layout.s, 1, 300)
    if layout.median and layout.median[0] in ("grass", "wide", "trees") and rng.random() < 0.5:
        things += _scatter(rng, road, layout.median[1], -20, 250, rng.uniform(8, 40), ["bush", "tree"], 0.8)
    if layout.scene != "tunnel":
        things += _signs(rng, road, layout) + _lamps(rng, road, layout) + _overhead(rng, road, layout)
    return things


def stand(road: Road, kind: str, rng, s: float, t: float, yaw: float = 0.0, up: float = 0.0, **options) -> SceneObject:
    """One upright thing at s, t; yaw against the road."""
    key = Key.random(rng, kind, **options)
    world = road.pose(s, t, 0.0, up)
    heading = np.arctan2(world[1, 0], world[0, 0]) + yaw
    from driving_scenes.roads.centerline import pose

    return SceneObject(key, pose(world[:3, 3], heading))


def run_of(
    rng, road: Road, kind: str, t: np.ndarray, s: np.ndarray, side: int, ahead: float, keep=None
) -> list[SceneObject]:
    """A rail, wall or fence in pieces of 8 m along an offset; it faces the road (side 1: it stands on the left)."""
    key, out = Key.random(rng, kind, length=8.0), []
    for a in np.arange(-40.0, ahead, 8.0):
        if keep is not None and not keep(a + 4):
            continue
        ends = road.at([a, a + 8.0], np.interp([a, a + 8.0], s, t))
        world = _between(ends, flip=side < 0)
        out.append(SceneObject(key, world))
    return out


def _between(ends: np.ndarray, flip: bool) -> np.ndarray:
    a, b = (ends[1], ends[0]) if flip else (ends[0], ends[1])
    x = (b - a) / np.linalg.norm(b - a)
    y = np.cross([0, 0, 1.0], x)
    y /= np.linalg.norm(y)
    world = np.eye(4)
    world[:3, :3], world[:3, 3] = np.stack([x, y, np.cross(x, y)], 1), (a + b) / 2
    return world


def _beside(rng, road: Road, layout: Layout, terrain: Terrain, side: int, verge: str) -> list[SceneObject]:
    edge = layout.row(layout.left if side > 0 else layout.right)
    if verge == "houses":
        return _houses(rng, road, layout, edge, side, rng.uniform(0, 3), rng.uniform(0, 6))
    if verge == "gardens":
        return _houses(rng, road, layout, edge, side, rng.uniform(4, 9), rng.uniform(4, 14)) + _gardens(
            rng, road, layout, edge, side
        )
    if verge == "none":
        return []
    out = []
    if verge in RAILS:
        out += run_of(rng, road, RAILS[verge], edge + side * 0.35, layout.s, side, 300)
    density = rng.choice([0.0, 0.3, 1.0, 2.0], p=[0.15, 0.3, 0.3, 0.25])
    count = int(rng.uniform(30, 60) * density)
    kinds = ["tree", "bush"] if rng.random() < 0.7 else ["bush", "bush", "tree"]
    for _ in range(count):
        s, d = rng.uniform(-30, 330), rng.uniform(4.0, 12.0) + rng.exponential(12)
        d = min(d, 44.0)
        kind = str(rng.choice(kinds))
        d = max(d, 6.0) if kind == "tree" else d
        t = np.interp(s, layout.s, edge) + side * d
        up = float(terrain.profile(side, np.array([d]))[0]) - 0.15
        out.append(stand(road, kind, rng, s, t, rng.uniform(0, 6.28), up))
    if rng.random() < 0.25:
        spacing = rng.uniform(30, 50)
        for s in np.arange(rng.uniform(0, 30), 320, spacing):
            out.append(
                stand(
                    road,
                    "pole",
                    rng,
                    s,
                    np.interp(s, layout.s, edge) + side * 6,
                    0.0,
                    float(terrain.profile(side, np.array([6.0]))[0]),
                )
            )
    if verge in ("grass", "dirt") and rng.random() < 0.3:
        d = rng.uniform(5, 12)
        out += [
            _lift(x, float(terrain.profile(side, np.array([d]))[0]))
            for x in run_of(rng, road, "fence", edge + side * d, layout.s, side, 250)
        ]
    for _ in range(int(rng.poisson(0.7))):
        d = rng.uniform(22, 40)
        s = rng.uniform(30, 300)
        out.append(
            stand(
                road,
                "building",
                rng,
                s,
                np.interp(s, layout.s, edge) + side * d,
                0.0 if side > 0 else np.pi,
                float(terrain.profile(side, np.array([d]))[0]) - 0.5,
            )
        )
    return out


def _lift(thing: SceneObject, up: float) -> SceneObject:
    thing.world_from_object[2, 3] += up
    return thing


def _clear(layout: Layout, s0: float, s1: float, margin: float = 0.0) -> bool:
    return all(s1 < at - half - margin or s0 > at + half + margin for at, half in layout.junctions)


def _houses(
    rng, road: Road, layout: Layout, edge: np.ndarray, side: int, setback: float, gap: float
) -> list[SceneObject]:
    out, s = [], -50.0
    while s < 260:
        key = Key.random(rng, "building")
        length, width, _ = size(key)
        if _clear(layout, s, s + length, 5.0) and rng.random() < 0.93:
            t = float(np.interp(s + length / 2, layout.s, edge)) + side * (setback + width / 2 + 0.1)
            world = road.pose(s + length / 2, t, 0.0 if side > 0 else np.pi, 0.05)
            out.append(SceneObject(key, _upright(world)))
        s += length + rng.uniform(0, gap) * (rng.random() < 0.7)
    if rng.random() < 0.55:
        outer = layout.paved[0] if side > 0 else layout.paved[1]
        spacing, d = rng.uniform(8, 25), side * rng.uniform(0.8, 1.4)
        for s in np.arange(-20 + rng.uniform(0, spacing), 220, spacing):
            if _clear(layout, s, s, 5.0):
                out.append(
                    stand(road, str(rng.choice(["tree", "tree", "pole"])), rng, s, outer + d, rng.uniform(0, 6), 0.12)
                )
        out = [x for x in out if x.key.kind != "tree" or max(size(x.key)[:2]) < 5.5]
    for _ in range(int(rng.poisson(5))):
        s, outer = rng.uniform(0, 120), layout.paved[0] if side > 0 else layout.paved[1]
        if _clear(layout, s, s, 3.0):
            kind = str(rng.choice(["bin", "parked_clutter", "bicycle", "pole", "bush"], p=[0.2, 0.25, 0.3, 0.15, 0.1]))
            out.append(stand(road, kind, rng, s, outer + side * rng.uniform(0.6, 1.6), rng.uniform(-0.4, 0.4), 0.12))
    return out


def _upright(world: np.ndarray) -> np.ndarray:
    from driving_scenes.roads.centerline import pose

    return pose(world[:3, 3], np.arctan2(world[1, 0], world[0, 0]))


def _gardens(rng, road: Road, layout: Layout, edge: np.ndarray, side: int) -> list[SceneObject]:
    out = []
    for _ in range(int(rng.uniform(10, 40))):
        s = rng.uniform(-20, 200)
        if _clear(layout, s, s, 4.0):
            t = np.interp(s, layout.s, edge) + side * rng.uniform(0.8, 4.0)
            out.append(stand(road, str(rng.choice(["bush", "tree", "bush"])), rng, s, t, rng.uniform(0, 6)))
    if rng.random() < 0.5:
        out += run_of(
            rng, road, "fence", edge + side * 0.3, layout.s, side, 150, keep=lambda s: _clear(layout, s, s, 6.0)
        )
    return out


def _scatter(
    rng, road: Road, t: float, s0: float, s1: float, spacing: float, kinds: list[str], spread: float
) -> list[SceneObject]:
    return [
        stand(road, str(rng.choice(kinds)), rng, s, t + rng.uniform(-spread, spread), rng.uniform(0, 6), -0.2)
        for s in np.arange(s0 + rng.uniform(0, spacing), s1, spacing)
    ]


def _near_side(layout: Layout) -> int:
    return 1 if layout.plan.get("left_hand") else -1


def _signs(rng, road: Road, layout: Layout) -> list[SceneObject]:
    out, side = [], _near_side(layout)
    dense = 3.5 if layout.scene != "highway" else 2.0
    for _ in range(int(rng.poisson(dense))):
        s, facing = rng.uniform(8, 150), rng.random() < 0.8
        right = side if facing or rng.random() < 0.3 else -side
        outer = np.interp(s, layout.s, layout.row(layout.left if right > 0 else layout.right))
        inside = layout.paved[0] if right > 0 else layout.paved[1]
        t = (
            (inside + right * rng.uniform(0.5, 1.2))
            if layout.scene != "highway"
            else outer + right * rng.uniform(0.8, 3.0)
        )
        if _clear(layout, s, s, 1.0):
            out.append(stand(road, "traffic_sign", rng, s, t, (0.0 if facing else np.pi) + rng.normal(0, 0.08), 0.05))
    return out


def _lamps(rng, road: Road, layout: Layout) -> list[SceneObject]:
    chance = {"highway": 0.3, "city street": 0.8, "residential": 0.7, "parking lot": 0.6}[layout.scene]
    if rng.random() > chance:
        return []
    out, spacing, both = [], rng.uniform(24, 45), rng.random() < 0.5
    for i, s in enumerate(np.arange(-10 + rng.uniform(0, spacing), 260, spacing)):
        for side in (1, -1) if both else (1 if i % 2 and layout.scene != "highway" else -1,):
            inside = layout.paved[0] if side > 0 else layout.paved[1]
            if _clear(layout, s, s, 1.0):
                out.append(stand(road, "street_lamp", rng, s, inside + side * 0.7, 0.0 if side < 0 else np.pi, 0.1))
    return out


def _overhead(rng, road: Road, layout: Layout) -> list[SceneObject]:
    out, (left, right) = [], layout.paved
    if layout.scene == "highway" and rng.random() < 0.25:
        s = rng.uniform(30, 160)
        edge = float(np.interp(s, layout.s, layout.row(layout.right)))
        out.append(_spanning(road, "gantry", rng, s, 1.0, edge - 1.0))
    if layout.scene == "highway" and rng.random() < 0.2:
        out.append(_spanning(road, "overpass", rng, rng.uniform(40, 250), left + 1, right - 1))
    return out


def _spanning(road: Road, kind: str, rng, s: float, t0: float, t1: float) -> SceneObject:
    width = float(np.ceil(abs(t0 - t1) / 4) * 4)
    thing = stand(road, kind, rng, s, (t0 + t1) / 2, width=width)
    return thing
