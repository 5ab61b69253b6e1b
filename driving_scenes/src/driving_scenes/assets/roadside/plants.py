"""Trees and bushes; leaves are many small cards facing all directions."""

from __future__ import annotations

import numpy as np

from driving_scenes.base import colors
from driving_scenes.base.asset import Asset, asset_of
from driving_scenes.base.mesh import Material, Mesh, join
from driving_scenes.base.semantic_ids import VEGETATION
from driving_scenes.base.shapes import Values, box, rods, tube

_GREENS = colors.linear("3a5a22", "2f4f1f", "4f6b2a", "5f7a32", "2a4a2a", "6a7a3a", "45602f")
_AUTUMN = colors.linear("8a4a1a", "a8702a", "7a2a1a", "b08a2a")
_CONIFERS = colors.linear("1f3a22", "26422a", "2f4a30", "30483a")
_BARKS = colors.linear("4a3a2c", "5a4a3c", "3a3028", "6a6258", "2f261e")


def tree(rng: np.random.Generator, detail: int = 1) -> Asset:
    """A deciduous tree, conifer, palm or bare tree."""
    tree_type = rng.choice(4, p=[0.52, 0.18, 0.06, 0.24])
    return asset_of((_deciduous, _conifer, _palm, _bare)[tree_type](rng, detail), None, VEGETATION)


def bush(rng: np.random.Generator, detail: int = 1) -> Asset:
    """A bush or a piece of hedge."""
    hedge = rng.random() < 0.3
    size = rng.uniform([1.5, 0.6, 0.8], [3.0, 0.9, 1.8]) if hedge else rng.uniform([0.8, 0.8, 0.6], [2.2, 2.2, 1.8])
    green = colors.one_of(rng, _GREENS)
    count = int(220 * min(size.prod(), 3) ** 0.3) if detail else 24
    if hedge:
        positions = rng.uniform(-0.5, 0.5, (count, 3))
        axis = rng.integers(3, size=count)
        positions[np.arange(count), axis] = np.where(rng.random(count) < 0.5, -0.48, 0.48)
        outward = np.eye(3)[axis] * np.sign(positions)
        positions = (positions + (0, 0, 0.5)) * size
    else:
        outward = _directions(rng, count)
        positions = (outward * rng.uniform(0.75, 1.0, (count, 1)) * 0.5 + (0, 0, 0.45)) * size
    scale = 0.16 if detail else 0.5
    leaves = _leaves(rng, positions, outward, scale * size.mean() ** 0.5, green, size[2])
    core = (
        box((0, 0, size[2] * 0.46), size * 0.9, _GREENS[4] * 0.4, Material.FOLIAGE)
        if hedge
        else _blob(size * 0.72, _GREENS[4] * 0.35, detail)
    )
    return asset_of(_standing(join([leaves, core])), None, VEGETATION)


def _standing(mesh: Mesh) -> Mesh:
    """The mesh lifted so that nothing is below the ground."""
    vertices = mesh.vertices.copy()
    vertices[:, 2] -= vertices[:, 2].min()
    return Mesh(vertices, mesh.faces, mesh.normals, mesh.colors, mesh.materials)


def _blob(size: np.ndarray, color: np.ndarray, detail: int, center: Values = (0, 0, 0.0)) -> Mesh:
    """A dark core that keeps the crown opaque."""
    rise = np.array([0.0, 0.25, 0.6, 0.9, 1.0])[:, None] * (0, 0, size[2]) + np.asarray(center, float)
    radii = np.array([0.25, 0.5, 0.5, 0.3, 0.05])[:, None] * size[[1, 0]]
    return tube(rise, radii, color, Material.FOLIAGE, sides=7 if detail else 4)


def _directions(rng: np.random.Generator, count: int) -> np.ndarray:
    direction = rng.normal(size=(count, 3))
    return np.asarray(direction / np.linalg.norm(direction, axis=1, keepdims=True))


def _leaves(
    rng: np.random.Generator, positions: np.ndarray, outward: np.ndarray, size: float, color: np.ndarray, height: float
) -> Mesh:
    """Ragged cards at positions (N, 3); their shading normal is a mean of the crown's and their own."""
    count = len(positions)
    face = outward + rng.normal(0, 0.75, (count, 3))
    face /= np.linalg.norm(face, axis=1, keepdims=True)
    across = np.cross(face, _directions(rng, count))
    across /= np.linalg.norm(across, axis=1, keepdims=True) + 1e-9
    other = np.cross(face, across)
    scale = size * rng.uniform(0.6, 1.35, (count, 1))
    ragged = rng.uniform(0.55, 1.1, (4, count, 1)) * scale
    corners = np.stack(
        [
            positions + across * ragged[0],
            positions + other * ragged[1] * 0.8,
            positions - across * ragged[2],
            positions - other * ragged[3] * 0.8,
        ],
        1,
    )
    normal = outward + 0.45 * face
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
    deep = np.clip(positions[:, 2:] / height, 0, 1)
    shade = color * (0.62 + 0.5 * deep) * rng.uniform(0.75, 1.25, (count, 1)) * (1 + rng.normal(0, 0.05, (count, 3)))
    faces = (np.arange(count)[:, None, None] * 4 + np.array([[0, 1, 2], [0, 2, 3]])).reshape(-1, 3)
    return Mesh(
        corners.reshape(-1, 3).astype(np.float32),
        faces.astype(np.int32),
        np.repeat(normal, 4, 0).astype(np.float32),
        np.repeat(np.clip(shade, 0.004, 0.8), 4, 0).astype(np.float32),
        np.full(4 * count, Material.FOLIAGE, np.uint8),
    )


def _trunk(rng: np.random.Generator, height: float, thick: float, bark: np.ndarray, detail: int) -> Mesh:
    rise = np.array([0.0, 0.06, 0.5, 1.0]) * height
    sway = np.concatenate([np.zeros((2, 2)), rng.normal(0, 0.03 * height, (2, 2))])
    return tube(np.c_[sway, rise], np.array([1.5, 1.0, 0.85, 0.55]) * thick, bark, sides=7 if detail else 3, caps=False)


def _deciduous(rng: np.random.Generator, detail: int) -> Mesh:
    height = rng.uniform(4, 14)
    wide = height * rng.uniform(0.22, 0.42)
    low = height * rng.uniform(0.18, 0.4)
    bark = colors.one_of(rng, _BARKS)
    green = colors.one_of(rng, _AUTUMN if rng.random() < 0.08 else _GREENS, 0.2)
    clumps = int(rng.integers(7, 13)) if detail else 4
    middle = np.array([0, 0, (height + low) / 2])
    half_axes = np.array([wide, wide, (height - low) / 2])
    centers = middle + _directions(rng, clumps) * rng.uniform(0.2, 0.6, (clumps, 1)) * half_axes
    radius = rng.uniform(0.45, 0.72, clumps) * half_axes[:2].mean()
    count = 440 if detail else 18
    which = rng.integers(clumps, size=count)
    direction = _directions(rng, count)
    positions = centers[which] + direction * radius[which, None] * rng.uniform(0.7, 1.05, (count, 1)) * (1, 1, 0.85)
    outward = direction + (positions - middle) / half_axes * 0.6 + (0, 0, 0.15)
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    leaves = _leaves(rng, positions, outward, wide * (0.14 if detail else 0.42), green, height)
    parts = [_trunk(rng, (height + low) / 2, 0.028 * height**0.9, bark, detail), leaves]
    if detail:
        start = np.array([0, 0, low]) + rng.uniform(-0.1, 0.6, (clumps, 1)) * (0, 0, low * 0.5)
        parts.append(
            rods(
                start, centers, np.array([[0.012 * height, 0.005 * height]]).repeat(clumps, 0), bark, Material.MATTE, 4
            )
        )
        inner = [
            _blob(np.array([1.25, 1.25, 1.3]) * r, green * 0.45, 0, c - (0, 0, 0.65 * r))
            for c, r in zip(centers, radius, strict=True)
        ]
        parts += inner[:6]
    return join(parts)


def _conifer(rng: np.random.Generator, detail: int) -> Mesh:
    height = rng.uniform(5, 16)
    green, bark = colors.one_of(rng, _CONIFERS, 0.2), colors.one_of(rng, _BARKS)
    wide, low = height * rng.uniform(0.13, 0.24), height * rng.uniform(0.04, 0.25)
    count = 360 if detail else 20
    rise = 1 - np.sqrt(rng.random(count))
    turn = rng.uniform(0, 2 * np.pi, count)
    step = np.floor(rise * 11) / 11 * 0.6 + rise * 0.4
    out = wide * (1 - step) * rng.uniform(0.55, 1.05, count) + 0.05
    positions = np.stack([out * np.cos(turn), out * np.sin(turn), low + rise * (height - low)], 1)
    outward = np.stack([np.cos(turn), np.sin(turn), np.full(count, 0.45)], 1)
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    core = tube(
        [(0, 0, low), (0, 0, low + 0.4), (0, 0, height)],
        [0.3 * wide, 0.72 * wide, 0.02],
        green * 0.55,
        Material.FOLIAGE,
        8 if detail else 4,
    )
    leaves = _leaves(rng, positions, outward, wide * (0.2 if detail else 0.45), green, height)
    return join([_trunk(rng, height * 0.5, 0.018 * height, bark, detail), core, leaves])


def _palm(rng: np.random.Generator, detail: int) -> Mesh:
    height, fronds = rng.uniform(5, 11), 16 if detail else 7
    leaf = colors.one_of(rng, _GREENS)
    turn = np.arange(fronds) * 2.4 + rng.normal(0, 0.2, fronds)
    lift, long = rng.uniform(-0.5, 0.9, fronds), rng.uniform(1.6, 2.6, fronds)
    steps = np.linspace(0, 1, 5 if detail else 3)
    lean = rng.normal(0, 0.4, 2)
    trunk = tube(
        np.c_[np.outer([0, 0.3, 1], lean), [0, height / 2, height]],
        [0.22, 0.17, 0.15],
        colors.one_of(rng, _BARKS),
        sides=7 if detail else 3,
    )
    direction = np.stack([np.cos(turn), np.sin(turn), 0 * turn], 1)
    line = (
        np.array([*lean, height])
        + direction[:, None] * (long[:, None] * steps)[..., None]
        + (np.outer(lift, steps) - 1.5 * steps**2)[..., None] * np.array([0, 0, 1.0]) * long[:, None, None] * 0.5
    )
    across = (
        np.stack([-np.sin(turn), np.cos(turn), 0 * turn], 1)[:, None]
        * (0.34 * np.sin(np.pi * (0.12 + 0.88 * steps)))[None, :, None]
    )
    droop = np.array([0, 0, -0.22])
    corners = []
    for side in (1, -1):
        edge = line + side * across + droop
        corners.append(np.stack([line[:, :-1], edge[:, :-1], edge[:, 1:], line[:, 1:]], 2).reshape(-1, 4, 3))
    quad = np.concatenate(corners)
    normal = np.tile([0, 0, 1.0], (len(quad), 1)) + rng.normal(0, 0.3, (len(quad), 3))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    green = leaf * rng.uniform(0.75, 1.2, (len(quad), 1))
    faces = (np.arange(len(quad))[:, None, None] * 4 + np.array([[0, 1, 2], [0, 2, 3]])).reshape(-1, 3).astype(np.int32)
    shape = Mesh(
        quad.reshape(-1, 3).astype(np.float32),
        faces,
        np.repeat(normal, 4, 0).astype(np.float32),
        np.repeat(green, 4, 0).astype(np.float32),
        np.full(4 * len(quad), Material.FOLIAGE, np.uint8),
    )
    return join([trunk, shape])


def _bare(rng: np.random.Generator, detail: int) -> Mesh:
    height = rng.uniform(4, 12)
    bark = colors.one_of(rng, _BARKS)
    starts, ways, thick = np.zeros((1, 3)), np.array([[0, 0, 1.0]]), np.array([0.022 * height])
    parts, long = [], height * 0.34
    for level in range(4 if detail else 2):
        ends = starts + ways * (long * rng.uniform(0.75, 1.15, (len(ways), 1)))
        parts.append(
            rods(
                starts,
                ends,
                np.stack([thick, thick * 0.62], 1),
                bark,
                Material.MATTE,
                (6, 4, 3, 3)[level] if detail else 3,
            )
        )
        fork = 4 if level == 0 else 3
        along = rng.uniform(0.55, 1.0, (len(ends) * fork, 1))
        starts = np.repeat(starts, fork, 0) * (1 - along) + np.repeat(ends, fork, 0) * along
        ways = np.repeat(ways, fork, 0) + rng.normal(0, 0.55, (len(starts), 3)) * (1, 1, 0.5) + (0, 0, 0.12)
        ways /= np.linalg.norm(ways, axis=1, keepdims=True)
        thick, long = np.repeat(thick, fork) * 0.5, long * 0.68
    return join(parts)
