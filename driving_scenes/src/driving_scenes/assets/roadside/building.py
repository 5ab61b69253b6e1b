"""Buildings from a small grammar: a ground floor of doors or shops, floors of window bays, a roof."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driving_scenes.assets.roadside.building_roof import roof
from driving_scenes.base import colors
from driving_scenes.base.asset import Asset, asset_of, branches
from driving_scenes.base.mesh import Material, Mesh, join
from driving_scenes.base.semantic_ids import BUILDING
from driving_scenes.base.shapes import boxes, quads

_WALLS = {
    "brick": colors.linear("8a4a38", "9a5a42", "6e3a2e", "a8745a", "7a5a4a", "b08a6a"),
    "plaster": colors.linear(
        "e8e0cc", "d8c8a0", "e6d2b0", "c8d0d0", "e0b89a", "d8d8d2", "c0a888", "b8c4b0", "f0ece0", "d09a7a"
    ),
    "concrete": colors.linear("9a9890", "84827c", "b0aea6", "70706c"),
    "glass": colors.linear("3a464e", "2c3840", "4a5a64"),
    "metal": colors.linear("a8b0b4", "c8ccce", "6a7a84", "8a9298", "d0c8b8"),
}
_SHOPS = colors.linear("8a1c1c", "1c3a6a", "1f5a3a", "e0b020", "101214", "e8e4da", "d06020", "5a2a5a")


@dataclass(frozen=True, slots=True)
class Facade:
    """One wall: its lower left corner as seen from outside, its direction and its outward normal."""

    foot: np.ndarray
    right: np.ndarray
    out: np.ndarray
    width: float

    def at(self, u: np.ndarray, z: np.ndarray, out: float = 0.0) -> np.ndarray:
        """(N, 3) of u along the wall, height z, metres in front of it."""
        u, z = np.broadcast_arrays(np.asarray(u, float), np.asarray(z, float))
        return np.asarray(self.foot + u[..., None] * self.right + z[..., None] * np.array([0, 0, 1.0]) + out * self.out)

    def rectangles(self, u: np.ndarray, z: np.ndarray, width: float, height: float, out: float) -> np.ndarray:
        """(N, 4, 3) corners of rectangles around (u, z)."""
        w, h = width / 2, height / 2
        return np.stack(
            [
                self.at(u - w, z - h, out),
                self.at(u + w, z - h, out),
                self.at(u + w, z + h, out),
                self.at(u - w, z + h, out),
            ],
            1,
        )


@dataclass(frozen=True, slots=True)
class Windows:
    """Window dimensions and colours of one building."""

    pitch: float
    width: float
    height: float
    frame: np.ndarray
    fill_fraction: float  # of the window positions in side and back walls
    band: float  # height fraction of office windows
    gap: float  # width fraction of office windows

    @staticmethod
    def drawn(rng: np.random.Generator, wall: np.ndarray) -> Windows:
        frame = [colors.WHITE, colors.WHITE * 0.8, colors.DARK, colors.WOOD, wall * 0.6][rng.integers(5)]
        width, height = rng.uniform(0.9, 1.7), rng.uniform(1.25, 1.8)
        return Windows(
            rng.uniform(2.2, 3.2),
            width,
            height,
            frame,
            rng.uniform(0.75, 1.0),
            rng.uniform(0.5, 0.85),
            rng.uniform(0.8, 0.96),
        )


def building(rng: np.random.Generator, detail: int = 1) -> Asset:
    """A house, block, office, shed or shop; its street front faces -y."""
    building_type = str(rng.choice(["house", "block", "office", "shed"], p=[0.28, 0.42, 0.16, 0.14]))
    floors, length, depth, floor = {
        "house": (int(rng.integers(1, 4)), rng.uniform(7, 13), rng.uniform(7, 11), rng.uniform(2.6, 3.0)),
        "block": (int(rng.integers(3, 8)), rng.uniform(10, 24), rng.uniform(10, 15), rng.uniform(2.9, 3.5)),
        "office": (int(rng.integers(4, 13)), rng.uniform(14, 32), rng.uniform(14, 22), rng.uniform(3.3, 3.9)),
        "shed": (1, rng.uniform(15, 35), rng.uniform(12, 25), rng.uniform(5, 9)),
    }[building_type]
    skin = {
        "house": ("brick", "plaster"),
        "block": ("brick", "plaster", "concrete"),
        "office": ("glass", "concrete", "metal"),
        "shed": ("metal", "concrete", "brick"),
    }
    material = str(rng.choice(skin[building_type]))
    wall = colors.one_of(rng, _WALLS[material], 0.1)
    base = 0.6 if building_type != "shed" else 0.0
    ground = rng.uniform(3.4, 4.2) if building_type in ("block", "office") else floor
    height = base * (building_type == "house") + ground + floor * (floors - 1) + 0.3
    meshes = [_walls(length, depth, height, wall, rng.uniform(0.5, 0.9), building_type)]
    style = Windows.drawn(rng, wall)
    for_front, for_roof = branches(rng, 2)
    for index, facade in enumerate(_facades(length, depth)):
        if detail:
            meshes += _front(for_front, building_type, facade, floors, floor, ground, wall, style, street=index == 0)
        elif building_type != "shed":
            meshes += _far_front(facade, floors, floor, ground)
    meshes += roof(for_roof, building_type, length, depth, height, wall, detail)
    return asset_of(join(meshes), None, BUILDING)


def _facades(length: float, depth: float) -> list[Facade]:
    x, y = length / 2, depth / 2
    corners = np.array([[-x, -y, 0], [x, -y, 0], [x, y, 0], [-x, y, 0]])
    out = np.array([[0, -1, 0], [1, 0, 0], [0, 1, 0], [-1, 0, 0.0]])
    wide = [length, depth, length, depth]
    return [Facade(corners[k], (corners[(k + 1) % 4] - corners[k]) / wide[k], out[k], wide[k]) for k in range(4)]


def _walls(length: float, depth: float, height: float, wall: np.ndarray, soot: float, building_type: str) -> Mesh:
    """The bare volume; the foot is a darker plinth."""
    plinth = 0.5 if building_type != "shed" else 0.25
    parts = []
    for f in _facades(length, depth):
        low = f.rectangles(np.array([f.width / 2]), np.array([plinth / 2]), f.width, plinth, 0.0)
        high = f.rectangles(np.array([f.width / 2]), np.array([(height + plinth) / 2]), f.width, height - plinth, 0.0)
        parts.append(quads(np.concatenate([low, high]), np.stack([wall * soot * 0.7, wall])))
    return join(parts)


def _panes(rng: np.random.Generator, count: int) -> np.ndarray:
    """Glass with rooms, blinds and curtains behind."""
    tones = np.array(
        [[0.03, 0.035, 0.04], [0.05, 0.06, 0.07], [0.02, 0.022, 0.026], [0.22, 0.21, 0.18], [0.1, 0.11, 0.11]],
        np.float32,
    )
    return tones[rng.choice(5, count, p=[0.38, 0.27, 0.2, 0.06, 0.09])] * rng.uniform(0.8, 1.2, (count, 1))


def _front(
    rng: np.random.Generator,
    building_type: str,
    f: Facade,
    floors: int,
    floor: float,
    ground: float,
    wall: np.ndarray,
    style: Windows,
    street: bool,
) -> list[Mesh]:
    if building_type == "shed":
        return _shed_front(rng, f, ground, wall, street)
    if building_type == "office":
        return _office_front(rng, f, floors, floor, ground, wall, style, street)
    bays = min(max(int(f.width / style.pitch), 1), 54 // floors if street else max(24 // floors, 2))
    u = (np.arange(bays) + 0.5) * f.width / bays
    wide, tall = min(style.width, f.width / bays * 0.7), style.height
    first = 0 if not street or building_type == "house" else 1
    levels = np.arange(first, floors)
    z0 = np.where(levels == 0, 0.0, ground + (levels - 1) * floor) + 0.9 + tall / 2
    uu, zz = (a.ravel() for a in np.meshgrid(u, z0))
    keep = rng.random(len(uu)) < (0.98 if street else style.fill_fraction)
    door = street and building_type == "house"
    if door:
        spot = u[int(rng.integers(bays))]
        keep &= ~((zz < ground) & (np.abs(uu - spot) < 0.1))
    uu, zz = uu[keep], zz[keep]
    out = [quads(f.rectangles(uu, zz, wide + 0.14, tall + 0.14, 0.03), style.frame)]
    panes = 2 if street and wide > 1.0 else 1
    for k in range(panes):
        part = (wide - 0.06 * (panes - 1)) / panes
        shift = (k - (panes - 1) / 2) * (part + 0.06)
        out.append(quads(f.rectangles(uu + shift, zz, part, tall, 0.05), _panes(rng, len(uu)), Material.WINDOW))
    sills = f.at(uu, zz - tall / 2 - 0.1, 0.08)
    span = np.abs(f.right) * (wide + 0.25) + np.abs(f.out) * 0.18 + (0, 0, 0.07)
    if street:
        out.append(boxes(sills, span, wall * 0.7 if rng.random() < 0.5 else colors.CONCRETE))
    if street and building_type == "block":
        out += _shops(rng, f, ground, bays) if rng.random() < 0.65 else _entrance(rng, f, ground, u, wide)
        if rng.random() < 0.4:
            out += _balconies(rng, f, u, ground, floor, floors, f.width / bays)
        bands = np.array([ground, ground + (floors - 1) * floor])
        across = np.abs(f.right) * f.width + np.abs(f.out) * 0.2 + (0, 0, 0.22)
        out.append(boxes(f.at(np.full(2, f.width / 2), bands, 0.06), across, wall * rng.uniform(0.7, 1.15)))
    if door:
        out += _door(rng, f, spot)
    return out


def _door(rng: np.random.Generator, f: Facade, u: float) -> list[Mesh]:
    at = np.array([u])
    color = colors.one_of(rng, _SHOPS)
    roof = np.abs(f.right) * 1.6 + np.abs(f.out) * 0.9 + (0, 0, 0.1)
    return [
        quads(f.rectangles(at, np.array([1.15]), 1.2, 2.3, 0.03), colors.WHITE),
        quads(f.rectangles(at, np.array([1.08]), 0.95, 2.1, 0.05), color),
        boxes(f.at(at, np.array([2.5]), 0.45), roof, colors.DARK),
    ]


def _entrance(rng: np.random.Generator, f: Facade, ground: float, u: np.ndarray, wide: float) -> list[Mesh]:
    spot = len(u) // 2
    rest = np.delete(u, spot)
    level = np.full(len(rest), 1.9)
    return [
        quads(f.rectangles(rest, level, wide + 0.14, 1.6, 0.03), colors.WHITE),
        quads(f.rectangles(rest, level, wide, 1.46, 0.05), _panes(rng, len(rest)), Material.WINDOW),
        *_door(rng, f, u[spot]),
    ]


def _shops(rng: np.random.Generator, f: Facade, ground: float, bays: int) -> list[Mesh]:
    """Shop windows, fascias with writing, awnings."""
    shops = max(int(f.width / rng.uniform(4.5, 7)), 1)
    u = (np.arange(shops) + 0.5) * f.width / shops
    wide = f.width / shops - 0.5
    color = _SHOPS[rng.integers(len(_SHOPS), size=shops)]
    out = [quads(f.rectangles(u, np.full(shops, 0.45 + (ground - 1.5) / 2), wide, ground - 1.3, 0.03), colors.DARK)]
    for k in range(3):
        spots = u + (k - 1) * wide / 3
        out.append(
            quads(
                f.rectangles(spots, np.full(shops, 0.45 + (ground - 1.5) / 2), wide / 3 - 0.1, ground - 1.5, 0.05),
                _panes(rng, shops) * 1.3,
                Material.WINDOW,
            )
        )
    board = np.abs(f.right) * wide + np.abs(f.out) * 0.16 + (0, 0, 0.6)
    out.append(boxes(f.at(u, np.full(shops, ground - 0.45), 0.08), board, color))
    letters = np.linspace(-0.3, 0.3, 7) * wide
    uu = (u[:, None] + letters).ravel()
    letter_color = np.repeat(np.where(color.mean(1, keepdims=True) > 0.25, 0.03, 0.75), 7, 0) * np.ones(3)
    out.append(quads(f.rectangles(uu, np.full(len(uu), ground - 0.45), wide * 0.055, 0.3, 0.175), letter_color))
    for shop in np.flatnonzero(rng.random(shops) < 0.35):
        top, low = (
            f.at(np.array([u[shop] - wide / 2, u[shop] + wide / 2]), np.full(2, ground - 0.8), 0.1),
            ground - 1.35,
        )
        front = f.at(np.array([u[shop] - wide / 2, u[shop] + wide / 2]), np.full(2, low), 1.3)
        out.append(quads(np.stack([front[0], front[1], top[1], top[0]])[None], color[shop]))
        out.append(quads(np.stack([top[0], top[1], front[1], front[0]])[None], color[shop] * 0.5))
    return out


def _balconies(
    rng: np.random.Generator, f: Facade, u: np.ndarray, ground: float, floor: float, floors: int, bay: float
) -> list[Mesh]:
    some = u[rng.random(len(u)) < 0.4][:3]
    levels = ground + np.arange(min(floors - 1, 5)) * floor
    uu, zz = (a.ravel() for a in np.meshgrid(some, levels))
    if not len(uu):
        return []
    slab = np.abs(f.right) * bay * 0.85 + np.abs(f.out) * 1.2 + (0, 0, 0.14)
    rail = np.abs(f.right) * bay * 0.85 + np.abs(f.out) * 0.04 + (0, 0, 0.9)
    color = [colors.DARK, colors.GALVANISED, colors.WHITE * 0.9, colors.GLASS_TINT * 4][rng.integers(4)]
    return [boxes(f.at(uu, zz + 0.05, 0.6), slab, colors.CONCRETE), boxes(f.at(uu, zz + 0.57, 1.18), rail, color)]


def _office_front(
    rng: np.random.Generator,
    f: Facade,
    floors: int,
    floor: float,
    ground: float,
    wall: np.ndarray,
    style: Windows,
    street: bool,
) -> list[Mesh]:
    """Bands of windows or a curtain wall."""
    bays = max(int(f.width / 2.4), 2) if street else max(int(f.width / 5), 2)
    u = (np.arange(bays) + 0.5) * f.width / bays
    levels = ground + np.arange(floors - 1) * floor + floor / 2
    uu, zz = (a.ravel() for a in np.meshgrid(u, levels))
    tall, wide = floor * style.band, f.width / bays * style.gap
    out = [quads(f.rectangles(uu, zz, wide, tall, 0.04), _panes(rng, len(uu)) + rng.uniform(0, 0.03), Material.WINDOW)]
    if street:
        out.append(
            quads(
                f.rectangles(u, np.full(bays, ground / 2 + 0.1), wide, ground - 0.8, 0.04),
                _panes(rng, bays) * 1.2,
                Material.WINDOW,
            )
        )
        fins = f.at(np.arange(bays + 1) * f.width / bays, np.full(bays + 1, ground + (floors - 1) * floor / 2), 0.1)
        size = np.abs(f.right) * 0.12 + np.abs(f.out) * 0.22 + (0, 0, (floors - 1) * floor)
        out.append(boxes(fins, size, wall * rng.uniform(0.6, 1.3)))
        canopy = np.abs(f.right) * 4.0 + np.abs(f.out) * 2.0 + (0, 0, 0.25)
        out.append(boxes(f.at(np.array([f.width / 2]), np.array([ground - 0.5]), 1.0), canopy, colors.DARK))
    return out


def _shed_front(rng: np.random.Generator, f: Facade, height: float, wall: np.ndarray, street: bool) -> list[Mesh]:
    """Ribbed panels, gates, a strip of windows, a name."""
    ribs = np.arange(1, int(f.width / 1.5)) * 1.5
    size = np.abs(f.right) * 0.08 + np.abs(f.out) * 0.05 + (0, 0, height - 0.3)
    out = [boxes(f.at(ribs, np.full(len(ribs), height / 2 + 0.15), 0.02), size, wall * 0.88)]
    if street:
        gates = f.width * (np.arange(3) + rng.uniform(0.2, 0.8)) / 3
        color = colors.one_of(rng, _SHOPS) if rng.random() < 0.5 else colors.WHITE * 0.8
        out.append(quads(f.rectangles(gates, np.full(3, 1.9), 3.4, 3.8, 0.08), color))
        name = np.abs(f.right) * f.width * 0.3 + np.abs(f.out) * 0.2 + (0, 0, 1.0)
        out.append(
            boxes(f.at(np.array([f.width * 0.5]), np.array([height - 0.6]), 0.12), name, colors.one_of(rng, _SHOPS))
        )
    strip = (np.arange(6) + 0.5) * f.width / 6
    out.append(
        quads(
            f.rectangles(strip, np.full(6, height - 1.6), f.width / 6 - 0.3, 0.8, 0.07), _panes(rng, 6), Material.WINDOW
        )
    )
    return out


def _far_front(f: Facade, floors: int, floor: float, ground: float) -> list[Mesh]:
    levels = (
        ground / 2 + 0.2,
        *(ground + np.arange(min(floors, 6) - 1) * (floors - 1) * floor / max(min(floors, 6) - 1, 1) + floor / 2),
    )
    z = np.array(levels)[:2] if f.out[1] >= 0 else np.array(levels)
    return [
        quads(f.rectangles(np.full(len(z), f.width / 2), z, f.width * 0.8, 1.2, 0.05), (0.1, 0.1, 0.1), Material.WINDOW)
    ]
