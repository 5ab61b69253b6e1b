"""Trams and trains."""

from __future__ import annotations

import numpy as np

from driving_scenes.assets.vehicles.hull import Canvas, every, hull, on_post
from driving_scenes.base import colors
from driving_scenes.base.asset import Asset, asset_of
from driving_scenes.base.mesh import Material, Mesh, join
from driving_scenes.base.semantic_ids import VEHICLE
from driving_scenes.base.shapes import box, rods

_LIVERIES = colors.linear("c81e1e", "e8c020", "f0f0ec", "1e4f9c", "2f7a4a", "b8bcc0", "e07a1a", "5a2a6a")


def train(rng: np.random.Generator, detail: int = 1) -> Asset:
    """A tram or train of two to four cars facing +x."""
    tram = rng.random() < 0.7
    cars = int(rng.integers(2, 5))
    length, width, height = (rng.uniform(7.5, 10), 2.45, 3.3) if tram else (rng.uniform(17, 22), 2.85, 3.8)
    total = cars * length
    main, second = colors.one_of(rng, _LIVERIES), colors.one_of(rng, _LIVERIES)
    meshes = []
    for number in range(cars):
        back = -total / 2 + number * length
        meshes.append(
            _car(
                back + 0.25,
                back + length - 0.25,
                width,
                height,
                main,
                second,
                (number == 0, number == cars - 1),
                tram,
                detail,
            )
        )
        if number:
            meshes.append(box((back, 0, 1.85), (0.56, width * 0.8, 2.5), colors.DARK))
        meshes.append(box((back + length / 2, 0, 0.3), (length * 0.8, width * 0.8, 0.6), colors.BLACK))
    if detail:
        meshes.append(_pantograph(rng.uniform(-0.2, 0.2) * total, height))
    return asset_of(join(meshes), "train", VEHICLE)


def _car(
    back: float,
    front: float,
    width: float,
    height: float,
    main: np.ndarray,
    second: np.ndarray,
    ends: tuple[bool, bool],
    tram: bool,
    detail: int,
) -> Mesh:
    is_tail, is_nose = ends
    low, top, floor = (1.25, 2.6, 0.3) if tram else (1.9, 3.0, 0.5)
    z = np.array([floor, 0.65, 0.95, low, top, height - 0.3, height - 0.1, height])
    z = z if detail else z[[0, 2, 3, 4, 5, 7]]
    slope = np.interp(z, [floor, low, height], [0, 0, -0.55])
    rows = np.stack(
        [z, np.interp(z, [floor, low, height - 0.3, height], [0.97, 1, 0.98, 0.82]), slope * is_nose, slope * is_tail],
        1,
    )
    start, stop, pitch = back + 0.7, front - 0.7, 1.6 if detail else 30.0
    doors = np.linspace(back, front, 4)[1:3] if detail else np.zeros(0)

    lamp_lines = [0, 0.6, 0.72] if detail else [0, 0.72]

    def paint(c: Canvas) -> None:
        c.put(c.between(0.95, low), second)
        window = c.between(low, top)
        c.put(c.side & window, colors.GLASS_TINT, Material.GLASS)
        c.put(c.side & window & on_post(c.x, start, stop, pitch, 0.12), main)
        for at in doors:
            c.put(c.side & (np.abs(c.x - at) < 0.6) & c.between(0.65, top), colors.GLASS_TINT, Material.GLASS)
            c.put(c.side & (np.abs(c.x - at) < 0.05) & c.between(0.65, top), colors.BLACK)
        for end, is_end in ((c.nose, is_nose), (c.tail, is_tail)):
            c.put(
                end & c.between(low, height - 0.3) & (np.abs(c.y) < width * 0.47) & is_end,
                colors.GLASS_TINT,
                Material.GLASS,
            )
            c.put(end & c.between(top, height - 0.3) & (np.abs(c.y) < 0.6) & is_end, colors.BLACK)
        lamps = c.between(0.62 if not detail else 0.65, 0.95) & (np.abs(c.y) > 0.7)
        c.put(c.nose & lamps & is_nose, colors.LAMP_WHITE, Material.HEADLAMP)
        c.put(c.tail & lamps & is_tail, colors.LAMP_RED, Material.TAILLAMP)
        c.put(c.z > height, colors.linear("8a8c8e")[0], Material.MATTE)

    lines = np.concatenate([every(start, stop, pitch, 0.12), *[[d - 0.6, d - 0.04, d + 0.04, d + 0.6] for d in doors]])
    return hull(
        (back, front),
        width,
        rows,
        lines,
        (lamp_lines, lamp_lines),
        main,
        paint,
        corner=0.35,
        detail=detail,
    )


def _pantograph(x: float, height: float) -> Mesh:
    joints = np.array([[x, 0.4, height], [x - 0.8, 0.3, height + 0.6], [x, 0.5, height + 1.2]])
    left = rods(joints[:-1], joints[1:], 0.03, colors.DARK, Material.METAL, 4)
    right = rods(joints[:-1] * (1, -1, 1), joints[1:] * (1, -1, 1), 0.03, colors.DARK, Material.METAL, 4)
    return join([left, right, box((x, 0, height + 1.2), (0.3, 1.6, 0.05), colors.DARK, Material.METAL)])
