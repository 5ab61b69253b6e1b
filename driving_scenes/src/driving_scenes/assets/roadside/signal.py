"""Traffic lights."""

from __future__ import annotations

import numpy as np

from driving_scenes.base import colors
from driving_scenes.base.asset import Asset, asset_of, branches
from driving_scenes.base.mesh import Material, Mesh, join
from driving_scenes.base.semantic_ids import SIGN
from driving_scenes.base.shapes import box, boxes, disc, lattice, rods, shaded, tube

_SHELLS = colors.linear("0d0e0f", "0d0e0f", "15181a", "1c3a2a", "3a3e40", "2a2c2e")
_YELLOWS = colors.linear("f2b705", "e8a800", "d99a0c", "f5c518", "c8960f", "e6b422")
_PLATES = np.stack([colors.BLACK, _YELLOWS[0], _SHELLS[3], _SHELLS[4], colors.WHITE])
STATES = ("red", "yellow", "green", "none")
_LIT = {"red": (1.0, 0.03, 0.02), "yellow": (1.0, 0.5, 0.02), "green": (0.03, 0.9, 0.45)}
_OFF = {"red": (0.05, 0.006, 0.006), "yellow": (0.06, 0.032, 0.004), "green": (0.006, 0.04, 0.025)}


def traffic_light(rng: np.random.Generator, state: str = "red", detail: int = 1) -> Asset:
    """A three-lens traffic light that shows red, yellow, green or none.

    Its lenses face -x; the part "pole" is a post at the origin, with an arm towards +y when the light is overhead.
    """
    if state not in STATES:
        raise ValueError(f"no traffic light shows {state!r}: choose one of {', '.join(STATES)}")
    lens = float(rng.choice([0.10, 0.15], p=[0.5, 0.5])) * rng.uniform(0.97, 1.03)
    lying = rng.random() < 0.2
    overhead = lying or rng.random() < 0.45
    arm_length = rng.uniform(2.5, 7.0) if overhead else 0.0
    high = rng.uniform(4.8, 6.0) if overhead else rng.uniform(2.4, 3.3)
    position = np.array([-0.22, arm_length, high + 3 * lens])
    for_head, for_pole = branches(rng, 2)
    head = _head(for_head, state, lens, lying, detail)
    return asset_of(
        _moved(head, position), "traffic light", SIGN, {"pole": _pole(for_pole, overhead, position, lens, detail)}
    )


def _moved(mesh: Mesh, position: np.ndarray) -> Mesh:
    pose = np.eye(4)
    pose[:3, 3] = position
    return mesh.moved(pose)


def _head(rng: np.random.Generator, state: str, lens: float, lying: bool, detail: int) -> Mesh:
    """The housing, centred on its origin."""
    pitch = lens * 2.35
    shell = colors.one_of(rng, _YELLOWS if rng.random() < 0.4 else _SHELLS, 0.1)
    names = ("red", "yellow", "green")
    along = np.array([0, 1.0, 0]) if lying else np.array([0, 0, 1.0])
    centers = [along * pitch * (1 - k) for k in range(3)]
    size = np.array([lens * 1.6, pitch, pitch]) + along * 2 * pitch
    parts = [box((0, 0, 0), size, shell)]
    front = -size[0] / 2
    hood = colors.BLACK if rng.random() < 0.4 else shell
    if rng.random() < 0.5:  # a black door in a coloured housing
        parts.append(box((front, 0, 0), size * (0, 0.94, 0.97) + (0.006, 0, 0), colors.BLACK))
    visor = rng.choice(["tunnel", "cap", "none"], p=[0.35, 0.5, 0.15])
    if rng.random() < 0.45:
        plate = size * (0, 1, 1) + (0.015, 2 * lens, 2 * lens)
        parts.append(box((front * 0.3, 0, 0), plate, _PLATES[rng.choice(len(_PLATES), p=[0.6, 0.12, 0.12, 0.1, 0.06])]))
        if rng.random() < 0.4:
            rim = colors.WHITE if rng.random() < 0.5 else colors.SIGN_YELLOW
            parts.append(box((front * 0.3 + 0.006, 0, 0), plate + (-0.004, 0.07, 0.07), rim, Material.SIGN))
    arrow = rng.random() < 0.15
    for name, center in zip(names, centers, strict=True):
        lit = name == state
        color, material = (_LIT[name], Material.SIGNAL_LIT) if lit else (_OFF[name], Material.SIGNAL_DARK)
        parts.append(_lens(center + (front - 0.008, 0, 0), lens * 0.95, color, material, 14 if detail else 6))
        if detail and lit and arrow:
            parts.append(_arrow_mask(center + (front - 0.02, 0, 0), lens, int(rng.integers(3))))
        if detail and visor != "none":
            parts.append(_visor(center + (front, 0, 0), lens, 0.55 if visor == "tunnel" else 0.0, hood))
    return join(parts)


def _lens(center: np.ndarray, radius: float, color: tuple[float, float, float], material: int, sides: int) -> Mesh:
    ring = disc(radius, sides)
    points = np.concatenate([[[-0.015, 0, 0]], np.stack([np.zeros(sides), -ring[:, 0], ring[:, 1]], 1)]) + center
    i = np.arange(sides)
    return shaded(points, np.stack([0 * i, i + 1, (i + 1) % sides + 1], 1), color, material, crease=80)


def _visor(center: np.ndarray, lens: float, closed: float, color: np.ndarray) -> Mesh:
    """A visor over one lens, with faces on both sides."""
    angle = np.radians(np.linspace(-20 - 60 * closed, 200 + 60 * closed, 9))
    arc = np.stack([0 * angle, -np.cos(angle) * lens, np.sin(angle) * lens], 1)
    out = lattice(np.stack([arc, arc + (-lens * 1.5, 0, 0)]) + center, color, Material.MATTE, crease=60)
    back = Mesh(out.vertices, out.faces[:, ::-1].copy(), -out.normals, out.colors * 0.6, out.materials)
    return join([out, back])


def _arrow_mask(center: np.ndarray, lens: float, way: int) -> Mesh:
    """Black around an arrow, made of bars that leave the arrow free."""
    bars = np.array([[0.65, 0.0], [-0.65, 0.0], [0.55, 0.6], [-0.55, 0.6]]) * lens
    turn = np.radians([0, 90, -90][way])
    y = bars[:, 0] * np.cos(turn) - bars[:, 1] * np.sin(turn)
    z = bars[:, 0] * np.sin(turn) + bars[:, 1] * np.cos(turn)
    return boxes(center + np.stack([0 * y, y, z], 1), (0.006, lens * 0.5, lens * 0.5), colors.BLACK)


def _pole(rng: np.random.Generator, overhead: bool, position: np.ndarray, lens: float, detail: int) -> Mesh:
    color = [
        colors.GALVANISED,
        colors.GALVANISED * 0.6,
        colors.BLACK * 2,
        colors.linear("2a4a3a")[0],
        colors.linear("c8a020")[0],
    ][rng.integers(5)]
    sides = 8 if detail else 4
    top = position[2] + (0.5 if overhead else 3 * lens)
    thick = 0.11 if overhead else 0.055
    parts = [
        tube(
            [(0, 0, 0), (0, 0, 0.3), (0, 0, 0.31), (0, 0, top)],
            [thick * 1.6, thick * 1.5, thick, thick * 0.8],
            color,
            Material.METAL,
            sides,
        )
    ]
    if overhead:
        arm = np.array([[0, 0, top - 0.4], [0, position[1] * 0.35, top - 0.05], [0, position[1] + 0.5, top]])
        parts.append(tube(arm, [0.08, 0.065, 0.045], color, Material.METAL, sides))
        parts.append(box((-0.06, position[1], position[2] + 0.2), (0.1, 0.06, 0.7), color, Material.METAL))
    else:
        spots = np.array([(-0.1, 0, position[2] + s * 2 * lens) for s in (1, -1)])
        parts.append(boxes(spots, (0.2, 0.04, 0.04), color, Material.METAL))
        if rng.random() < 0.5:
            parts.append(box((-0.08, 0, 1.15), (0.1, 0.09, 0.2), colors.SIGN_YELLOW))
    if rng.random() < 0.3:
        parts.append(rods([(0.3, 0.3, 0)], [(0.3, 0.3, 1.0)], 0.2, colors.GALVANISED * 0.7, Material.METAL, 6))
    return join(parts)
