"""Bicycles and motorcycles, with the contact points of their riders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driving_scenes.base import colors
from driving_scenes.base.asset import Asset, asset_of
from driving_scenes.base.mesh import Material, Mesh, join
from driving_scenes.base.semantic_ids import RIDER
from driving_scenes.base.shapes import box, boxes, grounded, lattice, rods, tube

_FRAMES = colors.linear("121214", "b01c1c", "1e4fa0", "d8d8d4", "2f5a3a", "c9a21a", "6a6e72", "d0602a")


@dataclass(frozen=True, slots=True)
class Ride:
    """A two-wheeler and its contact points with the rider, metres."""

    mesh: Mesh
    seat: np.ndarray  # 3
    grips: np.ndarray  # 2 3, left first
    pegs: np.ndarray  # 2 3
    lean: float  # of the back: 0 upright, 0.7 a racer


def bicycle(rng: np.random.Generator, detail: int = 1) -> Asset:
    """An upright bicycle facing +x."""
    return asset_of(bicycle_ride(rng, detail).mesh, "bicycle", RIDER)


def motorcycle(rng: np.random.Generator, detail: int = 1) -> Asset:
    """An upright motorcycle or scooter facing +x."""
    return asset_of(motorcycle_ride(rng, detail).mesh, "motorcycle", RIDER)


def _hoop(x: float, radius: float, thick: float, color: np.ndarray, sides: int, material: int = Material.MATTE) -> Mesh:
    """A tyre about y."""
    angle = np.arange(sides) * (2 * np.pi / sides)
    across = np.array([[-thick, 0.0], [0, thick], [thick, 0], [0, -thick], [-thick, 0]])  # along the radius, along y
    ring = np.stack([np.cos(angle), 0 * angle, np.sin(angle)], 1)
    points = (
        ring * (radius - thick + across[:, :1])[:, None] + across[:, 1:, None] * np.array([0, 1.0, 0]) + (x, 0, radius)
    )
    return lattice(points, color, material, crease=70, closed=True)


def bicycle_ride(rng: np.random.Generator, detail: int = 1) -> Ride:
    """A city bicycle, mountain bike or racer."""
    cycle_type = str(rng.choice(["city", "mountain", "racer"]))
    radius, size = rng.uniform(0.33, 0.35), rng.uniform(0.93, 1.07)
    rear, front = -0.5 * size, 0.53 * size
    thick = {"city": 0.02, "mountain": 0.028, "racer": 0.014}[cycle_type]
    color = colors.one_of(rng, _FRAMES)
    crank, seat = np.array([-0.05, 0, 0.29]), np.array([-0.22 * size, 0, 0.93 * size])
    head, stem = (
        np.array([0.33 * size, 0, 0.68 * size]),
        np.array([0.29 * size, 0, (1.02 if cycle_type == "city" else 0.92) * size]),
    )
    rear_hub, front_hub = np.array([rear, 0, radius]), np.array([front, 0, radius])
    joint = seat + (crank - seat) * 0.25
    tubes = np.array(
        [
            [crank, joint],
            [crank, head],
            [joint, head + (0, 0, 0.12)],
            [rear_hub, crank],
            [rear_hub, joint],
            [front_hub, head],
            [head, stem],
        ]
    )
    if cycle_type == "city" and rng.random() < 0.5:
        tubes[2] = crank + (0.05, 0, 0.05), head + (0, 0, 0.12)
    sides = 5 if detail else 3
    meshes = [
        rods(tubes[:, 0], tubes[:, 1], 0.017, color, Material.PAINT, sides),
        rods([joint], [seat], 0.014, colors.STEEL, Material.METAL, sides),
    ]
    meshes += [_hoop(x, radius, thick, colors.RUBBER, 16 if detail else 8) for x in (rear, front)]
    handlebar_x = stem[0] + (0.12 if cycle_type == "racer" else -0.05)
    wide = {"city": 0.29, "mountain": 0.33, "racer": 0.21}[cycle_type]
    grips = np.array([[handlebar_x, wide, stem[2]], [handlebar_x, -wide, stem[2]]])
    meshes.append(rods([stem, stem], grips, 0.014, colors.DARK, Material.METAL, sides))
    meshes.append(box(seat, (0.25, 0.15, 0.06), colors.BLACK, top=(0.9, 0.8)))
    turn = rng.uniform(0, 2 * np.pi)
    arm = 0.17 * np.array([np.cos(turn), 0, np.sin(turn)])
    pegs = crank + np.array([[arm[0], 0.11, arm[2]], [-arm[0], -0.11, -arm[2]]])
    if detail:
        meshes += _bicycle_details(cycle_type == "city", rear_hub, front_hub, crank, seat, stem, pegs)
    if cycle_type == "city":
        meshes.append(box((rear + 0.05, 0, radius * 2 + 0.06), (0.36, 0.12, 0.02), colors.DARK, Material.METAL))
        if rng.random() < 0.3:
            meshes.append(box((stem[0] + 0.2, 0, stem[2] - 0.12), (0.28, 0.36, 0.22), colors.WOOD, top=1.15))
    return Ride(
        grounded(join(meshes)),
        seat,
        grips,
        pegs,
        {"city": 0.15, "mountain": 0.45, "racer": 0.7}[cycle_type] + rng.uniform(-0.08, 0.08),
    )


def _bicycle_details(
    city: bool,
    rear_hub: np.ndarray,
    front_hub: np.ndarray,
    crank: np.ndarray,
    seat: np.ndarray,
    stem: np.ndarray,
    pegs: np.ndarray,
) -> list[Mesh]:
    """Spokes, pedals, crank arms and lamps."""
    radius = rear_hub[2]
    angle = np.arange(10) * (2 * np.pi / 10)
    ring = np.stack([np.cos(angle), 0 * angle, np.sin(angle)], 1) * (radius - 0.03)
    out = [
        rods(np.repeat(hub[None], 10, 0), hub + ring, 0.0035, colors.STEEL, Material.METAL, 3)
        for hub in (rear_hub, front_hub)
    ]
    out.append(boxes(pegs, (0.1, 0.09, 0.02), colors.DARK))
    out.append(rods([crank, crank], pegs * (1, 0.5, 1), 0.012, colors.STEEL, Material.METAL, 4))
    lamp = (rear_hub[0] + 0.06, 0, radius * 2 + 0.05) if city else (seat[0] - 0.1, 0, 0.85)
    out.append(box(lamp, (0.03, 0.06, 0.05), colors.LAMP_RED, Material.TAILLAMP))
    out.append(box((stem[0] + 0.07, 0, stem[2] - 0.1), (0.06, 0.06, 0.06), colors.LAMP_WHITE, Material.HEADLAMP))
    return out


def motorcycle_ride(rng: np.random.Generator, detail: int = 1) -> Ride:
    """A road bike, tourer or scooter."""
    cycle_type = str(rng.choice(["naked", "tourer", "sport", "scooter"], p=[0.3, 0.2, 0.2, 0.3]))
    scooter = cycle_type == "scooter"
    color = colors.one_of(rng, _FRAMES)
    radius, gap = (0.23, 1.3) if scooter else (0.31, 1.44)
    rear, front = -gap / 2, gap / 2
    seat_z = 0.76 if scooter else 0.8
    bars = np.array([front - 0.38, 0, 0.98 if cycle_type == "sport" else 1.06])
    sides = 6 if detail else 4
    thick = 0.055 if scooter else 0.065
    meshes = [_hoop(x, radius, thick, colors.RUBBER, 14 if detail else 7) for x in (rear, front)]
    meshes += [
        _hoop(x, radius - 2 * thick, 0.02, colors.STEEL * 0.6, 10 if detail else 5, Material.METAL)
        for x in (rear, front)
    ]
    hubs = [(front, s * 0.08, radius) for s in (1, -1)]
    meshes.append(
        rods(hubs, bars + np.array([[0, 0.08, -0.04], [0, -0.08, -0.04]]), 0.028, colors.STEEL, Material.METAL, 5)
    )
    meshes += _scooter_body(front, color) if scooter else _motorcycle_engine(rear, front, radius, color, sides)
    tail = np.array([[0.0, 0, seat_z], [-0.3, 0, seat_z + 0.02], [-0.62, 0, seat_z + 0.08], [-0.78, 0, seat_z + 0.06]])
    meshes.append(
        tube(tail, np.array([[0.12, 0.06], [0.15, 0.06], [0.12, 0.06], [0.06, 0.04]]), colors.BLACK, sides=sides)
    )
    meshes += _motorcycle_boxes(rear, front, radius, seat_z, color)
    meshes.append(
        tube([(-0.1, -0.19, 0.34), (-0.85, -0.21, 0.42)], [0.05, 0.06], colors.CHROME, Material.METAL, sides=sides)
    )
    if cycle_type in ("tourer", "sport"):
        shield = box((front - 0.3, 0, 1.05), (0.22, 0.36, 0.36), color, Material.PAINT, top=(0.3, 0.6))
        meshes += [shield, box((front - 0.36, 0, 1.3), (0.03, 0.3, 0.22), colors.GLASS_TINT, Material.GLASS)]
    if cycle_type == "tourer" or (scooter and rng.random() < 0.4):
        spots = [(-0.62, 0.28, 0.62), (-0.62, -0.28, 0.62), (-0.78, 0, 1.02)] if not scooter else [(-0.78, 0, 0.98)]
        meshes.append(boxes(np.array(spots), (0.4, 0.24, 0.32), colors.DARK, Material.PAINT))
    wide = 0.36
    grips = bars + np.array([[-0.08, wide, 0], [-0.08, -wide, 0]])
    meshes.append(rods([bars, bars], grips, 0.018, colors.DARK, Material.METAL, 4))
    mirrors = bars + np.array([[0.05, 0.36, 0.16], [0.05, -0.36, 0.16]])
    meshes.append(boxes(mirrors, (0.03, 0.15, 0.09), colors.BLACK))
    pegs = (
        np.array([[0.15, 0.2, 0.36], [0.15, -0.2, 0.36]])
        if scooter
        else np.array([[-0.08, 0.2, 0.33], [-0.08, -0.2, 0.33]])
    )
    seat = np.array([-0.25, 0, seat_z + 0.02])
    lean = {"naked": 0.3, "tourer": 0.15, "sport": 0.6, "scooter": 0.08}[cycle_type]
    return Ride(grounded(join(meshes)), seat, grips, pegs, lean)


def _scooter_body(front: float, color: np.ndarray) -> list[Mesh]:
    return [
        box((-0.35, 0, 0.5), (0.75, 0.3, 0.42), color, Material.PAINT, top=(0.9, 0.7)),
        box((0.1, 0, 0.3), (0.5, 0.32, 0.12), colors.DARK),
        box((front - 0.32, 0, 0.62), (0.1, 0.38, 0.62), color, Material.PAINT, top=(0.6, 0.7)),
    ]


def _motorcycle_engine(rear: float, front: float, radius: float, color: np.ndarray, sides: int) -> list[Mesh]:
    """Engine, fuel tank and swing arm."""
    tank = np.array([[front - 0.42, 0, 0.82], [0.12, 0, 0.9], [-0.12, 0, 0.82]])
    tank_radii = np.array([[0.09, 0.09], [0.15, 0.12], [0.1, 0.07]])
    hubs, pivots = [(rear, 0.1, radius), (rear, -0.1, radius)], [(-0.15, 0.1, 0.36), (-0.15, -0.1, 0.36)]
    return [
        box((0.02, 0, 0.42), (0.6, 0.32, 0.36), colors.DARK * 1.5, Material.METAL, top=(0.85, 0.8)),
        tube(tank, tank_radii, color, Material.PAINT, sides=sides),
        rods(hubs, pivots, 0.03, colors.STEEL, Material.METAL, 4),
    ]


def _motorcycle_boxes(rear: float, front: float, radius: float, seat_z: float, color: np.ndarray) -> list[Mesh]:
    """Tail, lamps, plate and mudguards."""
    return [
        box((-0.72, 0, seat_z - 0.02), (0.22, 0.18, 0.1), color, Material.PAINT),
        box((-0.85, 0, seat_z), (0.05, 0.15, 0.07), colors.LAMP_RED, Material.TAILLAMP),
        box((-0.88, 0, seat_z - 0.2), (0.015, 0.18, 0.16), colors.WHITE, Material.SIGN),
        box((rear - 0.12, 0, radius * 2 + 0.03), (0.4, 0.16, 0.04), colors.DARK),
        box((front + 0.02, 0, radius * 2 + 0.02), (0.36, 0.14, 0.05), color, Material.PAINT),
        box((front - 0.22, 0, 0.9), (0.12, 0.2, 0.18), colors.LAMP_WHITE, Material.HEADLAMP),
    ]
