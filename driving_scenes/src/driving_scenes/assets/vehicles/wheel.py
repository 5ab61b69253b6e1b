"""Wheels with tyres, for cars, trucks and buses."""

from __future__ import annotations

import numpy as np

from driving_scenes.base.colors import DARK, RUBBER
from driving_scenes.base.mesh import Material, Mesh, join
from driving_scenes.base.shapes import Values, lattice


def wheel(
    radius: float, width: float, rim: Values, spokes: int = 5, detail: int = 1, rim_fraction: float = 0.66
) -> Mesh:
    """A wheel with axis y; its outer face is at y = 0 and faces +y, its hub is the origin."""
    if detail == 0:
        profile, sides = np.array([[0, 0], [0, rim_fraction], [-width, 1]]), 6
    else:
        profile, sides = (
            np.array(
                [[-0.02, 0], [-0.035, rim_fraction - 0.05], [0, rim_fraction], [0.004, 0.92], [-0.03, 1], [-width, 1]]
            ),
            spokes * 2,
        )
        while sides < 12:
            sides *= 2
    angle = np.arange(sides) * (2 * np.pi / sides) - np.pi / 2  # a corner touches the road
    ring = np.stack([np.cos(angle), np.zeros(sides), np.sin(angle)], 1)
    points = ring * (profile[:, 1:] * radius)[:, None] + np.array([0.0, 1, 0]) * profile[:, :1, None]
    color = np.broadcast_to(RUBBER, (len(profile) - 1, sides, 3)).copy()
    material = np.full(color.shape[:2], Material.MATTE, np.uint8)
    rims = 1 if detail == 0 else 2
    color[:rims], material[:rims] = rim, Material.METAL
    if detail:
        color[0, np.arange(sides) % (sides // spokes) >= (sides // spokes + 1) // 2] = DARK
    return lattice(points, color, material, closed=True)


def wheels(positions: Values, radius: float, width: float, rim: Values, spokes: int = 5, detail: int = 1) -> Mesh:
    """Wheels with their outer faces at positions (N, 2) of x and y; those at y < 0 face -y."""
    left = wheel(radius, width, rim, spokes, detail)
    pose = np.eye(4)
    right = Mesh(left.vertices * (-1, -1, 1), left.faces, left.normals * (-1, -1, 1), left.colors, left.materials)
    out = []
    for x, y in np.asarray(positions, float):
        pose[:3, 3] = x, y, radius
        out.append((left if y > 0 else right).moved(pose))
    return join(out)
