"""Railings of vertical bars, as along sidewalks and before houses; they run along x."""

from __future__ import annotations

import numpy as np

from driving_scenes.base import colors
from driving_scenes.base.asset import Asset, asset_of
from driving_scenes.base.mesh import Material, Mesh, join
from driving_scenes.base.semantic_ids import FENCE
from driving_scenes.base.shapes import box, rods

HEIGHTS = {"guard": (0.95, 1.15), "spears": (1.1, 1.9), "wall": (0.6, 1.1)}  # metres of the bars, by railing type
WALL = 0.4, 0.95  # metres, height of the wall under bars
POINTS = 0.18  # metres, most that bars reach above the upper rail
PITCH, FAR_PITCH = 0.12, 0.5  # metres between bars near and far away, where each bar is as much wider
PAINTS = colors.linear("1c1d1f", "17231c", "2a3a5a", "6f7478", "8f9599", "d8d8d2")  # the first three are iron
STONE = colors.linear("8a4a38", "c8bfa8", "9a9890", "6a665e")


def railing(rng: np.random.Generator, railing_type: str | None = None, length: float = 4.0, detail: int = 1) -> Asset:
    """A railing: "guard" of steel at a curb, "spears" of iron, or "wall", iron bars on a wall; None draws one."""
    railing_type = railing_type or str(rng.choice(list(HEIGHTS)))
    paint = colors.one_of(rng, PAINTS if railing_type == "guard" else PAINTS[:3])
    wall, tall, points = rng.uniform(*WALL), rng.uniform(*HEIGHTS[railing_type]), rng.uniform(0, POINTS)
    wall = wall if railing_type == "wall" else 0.0
    points = 0.0 if railing_type == "guard" else points
    top = wall + tall
    parts = [_bars(length, (wall + 0.06, top + points), paint, detail), _rails(length, (wall + 0.12, top), paint)]
    parts.append(_posts(length, (wall, top + points / 2), paint))
    if wall:
        parts.append(box((0, 0, wall / 2), (length, 0.3, wall), colors.one_of(rng, STONE)))
    return asset_of(join(parts), None, FENCE)


def _bars(length: float, z: tuple[float, float], paint: np.ndarray, detail: int) -> Mesh:
    pitch = PITCH if detail else FAR_PITCH
    x = np.arange(pitch / 2, length, pitch) - length / 2
    low = np.stack([x, 0 * x, 0 * x + z[0]], 1)
    return rods(low, low + (0, 0, z[1] - z[0]), 0.009 * pitch / PITCH, paint, Material.METAL, 4 if detail else 3)


def _rails(length: float, z: tuple[float, float], paint: np.ndarray) -> Mesh:
    ends = np.array([[-length / 2, 0, height] for height in z])
    return rods(ends, ends * (-1, 1, 1), 0.022, paint, Material.METAL, 4)


def _posts(length: float, z: tuple[float, float], paint: np.ndarray) -> Mesh:
    low = np.array([[-length / 2, 0, z[0]], [0, 0, z[0]], [length / 2, 0, z[0]]])
    return rods(low, low + (0, 0, z[1] - z[0]), 0.032, paint, Material.METAL, 5)
