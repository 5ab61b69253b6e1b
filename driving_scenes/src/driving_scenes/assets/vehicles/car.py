"""Passenger cars, pickups and vans."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from driving_scenes.assets.vehicles.car_body import Body, CarStyle, axles, random_body
from driving_scenes.assets.vehicles.car_cabin import cabin
from driving_scenes.assets.vehicles.car_shell import shell
from driving_scenes.assets.vehicles.car_trim import far_trim, open_door, trim
from driving_scenes.assets.vehicles.wheel import wheels
from driving_scenes.base import colors
from driving_scenes.base.asset import Asset, asset_of, branches
from driving_scenes.base.mesh import Material, Mesh, join
from driving_scenes.base.semantic_ids import VEHICLE
from driving_scenes.base.shapes import box


def car(rng: np.random.Generator, detail: int = 1, door: int = 0) -> Asset:
    """A passenger car, pickup or delivery van facing +x.

    door  1: the left front door is open, -1: the right one; `size` is that of the car without it
    """
    body = random_body(rng)
    service = rng.choice(["", "taxi", "police"], p=[0.955, 0.03, 0.015]) if body.frequency > 0.05 else ""
    paint = {"taxi": _taxi_color(rng), "police": colors.linear("f0f0f0")[0]}.get(service, colors.car_color(rng))
    if not body.windows and rng.random() < 0.6:
        paint = colors.linear("eeeeec")[0]
    style = CarStyle.random(rng, body, paint)
    meshes = [shell(body, style, detail), cabin(body, style, detail), _wheels(body, style, detail), _floor(body)]
    for_trim, rng = branches(rng, 2)
    meshes += trim(for_trim, body, style, service) if detail else far_trim(body, style)
    mesh = join(meshes)
    if rng.random() < 0.15:
        mesh = _dirtied(mesh, rng.uniform(0.2, 0.6))
    closed = asset_of(mesh, "car", VEHICLE)
    return replace(closed, parts={"door": open_door(body, style, door)}) if door else closed


def _taxi_color(rng: np.random.Generator) -> np.ndarray:
    """Taxi yellow, ivory or black."""
    return np.asarray(colors.linear("e8b21a", "e6d7b0", "15161a")[rng.integers(3)])


def _wheels(body: Body, style: CarStyle, detail: int) -> Mesh:
    outside = body.width / 2 * 0.985 - 0.01
    positions = [(x, s * outside) for x in axles(body) for s in (1, -1)]
    return wheels(positions, body.wheel, 0.22, style.rim, style.spokes, detail)


def _floor(body: Body) -> Mesh:
    """The dark underside, which keeps the car opaque."""
    height = body.height * 0.4 - body.clearance
    return box((0, 0, body.clearance + height / 2), (body.length * 0.9, body.width * 0.58, height), colors.BLACK)


def _dirtied(mesh: Mesh, amount: float) -> Mesh:
    """The mesh with dust, thicker towards the road."""
    dust = np.array([0.16, 0.135, 0.105], np.float32)
    low = np.exp(-mesh.vertices[:, 2:] / 0.45) * amount
    painted = np.isin(mesh.materials, (Material.PAINT, Material.MATTE, Material.METAL))[:, None]
    return replace(mesh, colors=np.where(painted, mesh.colors * (1 - low) + dust * low, mesh.colors).astype(np.float32))
