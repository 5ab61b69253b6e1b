"""Roofs of buildings."""

from __future__ import annotations

import numpy as np

from driving_scenes.base import colors
from driving_scenes.base.mesh import Material, Mesh
from driving_scenes.base.shapes import box, boxes, flat, quads

_ROOFS = colors.linear("6a3a2a", "4a4644", "3a3c40", "7a4a34", "58504a")
_CHIMNEY = colors.linear("8a4a38")[0]


def roof(
    rng: np.random.Generator,
    building_type: str,
    length: float,
    depth: float,
    height: float,
    wall: np.ndarray,
    detail: int,
) -> list[Mesh]:
    """A gable, hip or flat roof."""
    tile = colors.one_of(rng, _ROOFS)
    if building_type == "house" or (building_type == "block" and rng.random() < 0.4):
        return _gable(rng, length, depth, height, wall, tile, detail)
    x, y = length / 2, depth / 2
    top = quads(np.array([[[-x, -y, height], [x, -y, height], [x, y, height], [-x, y, height]]]), colors.CONCRETE * 0.5)
    parts = [top]
    if detail:
        edge = wall * rng.uniform(0.6, 1.1)
        parts += [box((0, s * y, height + 0.15), (length + 0.3, 0.35, 0.5), edge) for s in (1, -1)]
        parts += [box((s * x, 0, height + 0.15), (0.35, depth, 0.5), edge) for s in (1, -1)]
        count = int(rng.integers(1, 4))
        positions = rng.uniform(-0.3, 0.3, (count, 3)) * (length, depth, 0) + (0, 0, height + 0.8)
        parts.append(boxes(positions, rng.uniform([1.5, 1.5, 1.0], [3.5, 3.5, 2.2], (count, 3)), colors.GALVANISED))
    return parts


def _gable(
    rng: np.random.Generator,
    length: float,
    depth: float,
    height: float,
    wall: np.ndarray,
    tile: np.ndarray,
    detail: int,
) -> list[Mesh]:
    """A gable or hip roof; from near with a chimney and dormers."""
    x, y, rise, over = length / 2, depth / 2, depth * rng.uniform(0.22, 0.45), 0.45
    hip = rng.uniform(0, 0.8) * x * (rng.random() < 0.4)
    eave = height + 0.05 - over * rise / y
    ex, ey = x + over, y + over
    points = np.array(
        [
            [-ex, -ey, eave],
            [ex, -ey, eave],
            [ex, ey, eave],
            [-ex, ey, eave],
            [-ex + hip, 0, height + 0.05 + rise],
            [ex - hip, 0, height + 0.05 + rise],
        ]
    )
    faces = [[0, 1, 5], [0, 5, 4], [2, 3, 4], [2, 4, 5], [3, 0, 4], [1, 2, 5], [0, 2, 1], [0, 3, 2]]
    keep = faces[:4] + (faces[4:6] if hip else []) + faces[6:]
    parts = [flat(points, keep, tile)]
    if not hip:
        gable = np.array(
            [
                [-x, -y, height],
                [-x, y, height],
                [-x, 0, height + rise * 0.97],
                [x, -y, height],
                [x, y, height],
                [x, 0, height + rise * 0.97],
            ]
        )
        parts.append(flat(gable, [[0, 2, 1], [3, 4, 5]], wall))
    if detail and rng.random() < 0.6:
        parts.append(box((rng.uniform(-0.35, 0.35) * length, 0.15 * depth, height + rise), (0.7, 0.7, 1.6), _CHIMNEY))
    if detail and rng.random() < 0.5:
        spots = np.array([(u * length, -0.62 * y, height + 0.32 * rise + 0.4) for u in (-0.25, 0.0, 0.25)])
        parts.append(boxes(spots, (1.3, 1.2, 1.4), tile * 0.8))
        glass = spots - (0, 0.62, 0)
        corners = np.stack([glass + d for d in ((-0.5, 0, -0.5), (0.5, 0, -0.5), (0.5, 0, 0.5), (-0.5, 0, 0.5))], 1)
        parts.append(quads(corners, (0.05, 0.05, 0.06), Material.WINDOW))
    return parts
