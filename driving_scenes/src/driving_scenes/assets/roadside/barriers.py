"""Fences, rails and walls; they run along x and their road side faces -y."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from driving_scenes.base import colors
from driving_scenes.base.asset import Asset, asset_of
from driving_scenes.base.mesh import Material, Mesh, join
from driving_scenes.base.semantic_ids import FENCE
from driving_scenes.base.shapes import box, boxes, lattice, quads, rods


def _along(length: float, pitch: float) -> np.ndarray:
    """Evenly spread x of about the given pitch, half a pitch from the ends."""
    count = max(int(round(length / pitch)), 1)
    return (np.arange(count) + 0.5) * length / count - length / 2


def _extruded(
    profile: np.ndarray, length: float, color: np.ndarray, material: int, steps: int = 1, crease: float = 40.0
) -> Mesh:
    """An open profile (P, 2) of y, z pulled along x."""
    x = np.linspace(-length / 2, length / 2, steps + 1)
    points = np.stack([np.c_[np.full(len(profile), v), profile] for v in x], 1)
    return lattice(points, color, material, crease)


def fence(rng: np.random.Generator, length: float = 4.0, detail: int = 1) -> Asset:
    """A fence of wood, wire mesh, iron bars, or a garden wall."""
    fence_type = str(rng.choice(["boards", "mesh", "bars", "wall", "rails"]))
    height = {"boards": 1.6, "mesh": 1.8, "bars": 1.3, "wall": 1.2, "rails": 1.1}[fence_type] * rng.uniform(0.8, 1.2)
    if fence_type == "wall":
        color = colors.one_of(rng, colors.linear("8a4a38", "c8bfa8", "9a9890", "d8d2c4"))
        parts = [
            box((0, 0, height / 2), (length, 0.25, height), color),
            box((0, 0, height + 0.04), (length, 0.34, 0.08), color * 0.7),
        ]
        return asset_of(join(parts), None, FENCE)
    wood = colors.one_of(rng, colors.linear("8a6a4a", "6a4a32", "9a948a", "e8e4da", "4a5a4a"))
    metal = [colors.GALVANISED, colors.BLACK, colors.linear("2a5a3a")[0]][rng.integers(3)]
    posts = _along(length, 2.4)
    base = np.stack([posts, 0 * posts, 0 * posts], 1)
    if fence_type == "boards":
        x = _along(length, 0.16 if detail else 1.0)
        tone = wood * rng.uniform(0.8, 1.15, (len(x), 1))
        wide = length / len(x) * 0.92
        parts = [boxes(np.stack([x, 0 * x, 0 * x + height / 2], 1), (wide, 0.03, height), tone)]
        if detail:
            parts.append(
                boxes(np.array([[0, 0.04, height * 0.25], [0, 0.04, height * 0.8]]), (length, 0.04, 0.1), wood * 0.8)
            )
        return asset_of(join(parts), None, FENCE)
    lines = {
        "mesh": np.linspace(0.05, height, 9 if detail else 4),
        "bars": np.array([0.15, height * 0.92]),
        "rails": np.array([0.5, 1.0]) * height,
    }[fence_type]
    ends = np.stack([0 * lines - length / 2, 0 * lines, lines], 1)
    thick = {"mesh": 0.006, "bars": 0.02, "rails": 0.045}[fence_type]
    color, material = (wood, Material.MATTE) if fence_type == "rails" else (metal, Material.METAL)
    parts = [
        rods(ends, ends * (-1, 1, 1), thick, color, material, 4),
        rods(base, base + (0, 0, height + 0.05), 0.05, color, material, 5),
    ]
    if fence_type in ("mesh", "bars") and detail:
        x = _along(length, 0.2 if fence_type == "mesh" else 0.13)
        low = np.stack([x, 0 * x, 0 * x + 0.05], 1)
        parts.append(
            rods(low, low + (0, 0, height - 0.05), 0.004 if fence_type == "mesh" else 0.011, metal, Material.METAL, 3)
        )
    return asset_of(join(parts), None, FENCE)


def low_wall(rng: np.random.Generator, length: float = 4.0, detail: int = 1) -> Asset:
    """A garden wall of brick or stone as high as a bench, with a slab on top."""
    stone = colors.one_of(rng, colors.linear("8a4a38", "c8bfa8", "9a9890", "d8d2c4", "6a665e"))
    height, course = rng.uniform(0.44, 0.5), 0.08
    levels = np.arange(0, height - 0.06, course) if detail else np.array([0.0])
    tall = (height - 0.06) / len(levels)
    tone = np.clip(stone * rng.uniform(0.85, 1.1, (len(levels), 1)), 0, 0.85)
    spots = np.stack([0 * levels, 0 * levels, (np.arange(len(levels)) + 0.5) * tall], 1)
    slab = box((0, 0, height - 0.03), (length, 0.4, 0.06), np.clip(colors.CONCRETE * rng.uniform(0.7, 1.3), 0, 0.85))
    wall = asset_of(join([boxes(spots, (length, 0.32, tall), tone), slab]), None, FENCE)
    return replace(wall, seats=np.stack([_along(length, 0.7), 0 * _along(length, 0.7)], 1))


def guard_rail(rng: np.random.Generator, length: float = 4.0, detail: int = 1) -> Asset:
    """A steel rail of W or box profile, or wire ropes, on posts."""
    fence_type = rng.choice(["w", "box", "ropes"], p=[0.75, 0.15, 0.1])
    steel = colors.GALVANISED * rng.uniform(0.7, 1.2)
    posts = _along(length, rng.choice([2.0, 3.8]))
    spots = np.stack([posts, 0 * posts + 0.1, 0 * posts + 0.36], 1)
    parts = [boxes(spots, (0.07, 0.12, 0.72), steel * 0.75, Material.METAL)]
    if fence_type == "w":
        profile = np.array(
            [
                [0.0, 0.44],
                [-0.07, 0.48],
                [-0.07, 0.54],
                [0.0, 0.58],
                [0.0, 0.62],
                [-0.07, 0.66],
                [-0.07, 0.72],
                [0, 0.76],
            ]
        )
        rail = _extruded(profile, length, steel, Material.METAL)
        back = Mesh(
            rail.vertices + np.array([0, 0.006, 0], np.float32),
            rail.faces[:, ::-1].copy(),
            -rail.normals,
            rail.colors,
            rail.materials,
        )
        parts += [rail, back]
    elif fence_type == "box":
        parts.append(box((0, 0, 0.66), (length, 0.12, 0.16), steel, Material.METAL))
    else:
        z = np.array([0.45, 0.58, 0.71])
        ends = np.stack([0 * z - length / 2, 0 * z, z], 1)
        parts.append(rods(ends, ends * (-1, 1, 1), 0.012, steel, Material.METAL, 4))
    if detail and rng.random() < 0.6:
        spots = np.stack([posts[::2], 0 * posts[::2] - 0.08, 0 * posts[::2] + 0.62], 1)
        parts.append(
            boxes(spots, (0.02, 0.07, 0.09), colors.SIGN_YELLOW if rng.random() < 0.5 else colors.WHITE, Material.SIGN)
        )
    return asset_of(join(parts), None, FENCE)


def concrete_barrier(rng: np.random.Generator, length: float = 4.0, detail: int = 1) -> Asset:
    """A concrete median barrier with sloped feet, joints and stains."""
    height = rng.uniform(0.8, 1.15)
    color = colors.CONCRETE * rng.uniform(0.6, 1.35)
    half = np.array([[0.3, 0.0], [0.3, 0.08], [0.16, 0.33], [0.09, height], [0, height]])
    profile = np.concatenate([half * (-1, 1), half[-2::-1]])
    tiles = max(int(round(length / 1.0)), 1) if detail else 1
    shade = (
        color
        * np.clip(rng.normal(1, 0.07, (1, tiles, 1)), 0.7, 1.2)
        * np.linspace(0.8, 1.0, len(profile) - 1)[:, None, None] ** 0.5
    )
    shade = np.clip(_banded(rng, shade), 0, 0.85)
    parts = [_extruded(profile, length, shade, Material.MATTE, tiles, crease=10)]
    end = np.c_[np.full(len(profile), -length / 2), profile]
    for side in (1, -1):
        order = end[::side] * (side, 1, 1)
        parts.append(quads(np.stack([order[[0, 1, -2, -1]], order[[1, 2, -3, -2]], order[[2, 3, -4, -3]]]), color))
    joints = _along(length, 3.0)
    if detail:
        spots = np.array([(x, s * 0.126, height * 0.6) for x in joints for s in (1, -1)])
        parts.append(boxes(spots, (0.03, 0.1, height * 0.75), color * 0.3))
    return asset_of(join(parts), None, FENCE)


def _banded(rng: np.random.Generator, shade: np.ndarray) -> np.ndarray:
    """Colours (8, tiles, 3) from foot over top to foot, with a dark, pale or painted band."""
    band = str(rng.choice(["none", "dirty foot", "pale foot", "stripe", "blocks"], p=[0.35, 0.25, 0.2, 0.12, 0.08]))
    out = shade.copy()
    if band == "dirty foot":
        out[[0, 1, -2, -1]] *= rng.uniform(0.3, 0.7)
    elif band == "pale foot":
        out[[0, -1]] *= rng.uniform(1.4, 2.2)
        out[[1, -2]] *= rng.uniform(0.7, 1.3)
    elif band != "none":
        paint = [colors.WHITE, colors.SIGN_YELLOW, colors.SIGN_ORANGE][rng.integers(3)]
        out[[2, -3], :: 1 if band == "stripe" else 2] = paint
    return np.asarray(out)


def noise_wall(rng: np.random.Generator, length: float = 4.0, detail: int = 1) -> Asset:
    """A tall wall of concrete, wood, metal or glass panels between posts."""
    fence_type = str(rng.choice(["concrete", "wood", "metal", "glass"], p=[0.45, 0.2, 0.25, 0.1]))
    height = rng.uniform(2.5, 5.5)
    tones = {
        "concrete": colors.linear("a09a8e", "b8a890", "8a8680", "c0b8a8", "9a7a62"),
        "wood": colors.linear("7a5a3a", "5a4632", "8a7a62"),
        "metal": colors.linear("5a7a5a", "8aa0a8", "6a7a84", "b8b8a8"),
        "glass": colors.linear("5a6a6e", "6a7a7a"),
    }[fence_type]
    color = colors.one_of(rng, tones)
    material = {"glass": Material.WINDOW, "metal": Material.PAINT}.get(fence_type, Material.MATTE)
    bays = max(int(round(length / 4.0)), 1)
    panel = rng.choice([0.5, 1.0, 2.0])
    steel = [colors.CONCRETE, colors.GALVANISED * 0.8, color * 0.6][rng.integers(3)]
    rows = max(int(height / panel), 1) if detail else 1
    x = (np.arange(bays) + 0.5) * length / bays - length / 2
    xx, level = (a.ravel() for a in np.meshgrid(x, np.arange(rows)))
    tone = color * rng.uniform(0.85, 1.12, (len(xx), 1))
    spots = np.stack([xx, 0 * xx, (level + 0.5) * height / rows], 1)
    parts = [boxes(spots, (length / bays, 0.14, height / rows - (0.03 if rows > 1 else 0)), tone, material)]
    posts = (np.arange(bays + 1) / bays - 0.5) * (length - 0.24)
    parts.append(
        boxes(np.stack([posts, 0 * posts, 0 * posts + height / 2 + 0.05], 1), (0.24, 0.3, height + 0.1), steel)
    )
    plinth, low = colors.CONCRETE * rng.uniform(0.4, 1.6), rng.uniform(0.15, 0.9)
    parts.append(box((0, 0, low / 2), (length, 0.24, low), plinth))
    return asset_of(join(parts), None, FENCE)
