"""Trucks: box, curtain, tanker, flatbed, dumper, semi-trailer, container."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driving_scenes.assets.vehicles.hull import Canvas, hull
from driving_scenes.assets.vehicles.truck_bed import Bed, loaded_bed
from driving_scenes.assets.vehicles.wheel import wheels
from driving_scenes.base import colors
from driving_scenes.base.asset import Asset, asset_of, branches
from driving_scenes.base.mesh import Material, Mesh, join
from driving_scenes.base.semantic_ids import VEHICLE
from driving_scenes.base.shapes import box, boxes, rods

_CABS = colors.linear("f0f0ec", "f0f0ec", "c01a1a", "1a3f8c", "e8b21a", "2a5a3a", "1a1a1c", "8a9094", "d8641a")


def truck(rng: np.random.Generator, detail: int = 1) -> Asset:
    """A truck facing +x."""
    truck_type = str(
        rng.choice(["box", "curtain", "tanker", "flatbed", "dumper", "container"], p=[0.4, 0.2, 0.1, 0.12, 0.1, 0.08])
    )
    semi = truck_type != "dumper" and rng.random() < 0.45
    nose = rng.uniform(1.0, 1.8) if rng.random() < (0.4 if semi else 0.2) else 0.0
    light = not semi and rng.random() < 0.45
    load = rng.uniform(11.5, 13.6) if semi else rng.uniform(3.8, 5.0) if light else rng.uniform(5.0, 7.5)
    cab, gap = (2.0 if not semi else 2.3), (0.7 if semi else 0.15)
    length = load + gap + cab + nose
    end, wheel = length / 2, 0.4 if light else 0.5
    width = 2.2 if light else 2.5
    height = rng.uniform(2.7, 3.1) if light else rng.uniform(3.4, 4.0)
    floor = 0.85 if light else 1.15
    color = colors.one_of(rng, _CABS)
    for_cab, for_load, for_frame, rng = branches(rng, 4)
    cab_height = min(height * 0.92, 3.0 if not semi else 3.5) * (0.88 if light else 1)
    meshes = _cab(for_cab, _Cab(end, cab, nose, cab_height, width * 0.97, color, wheel), detail)
    meshes += loaded_bed(for_load, truck_type, Bed(-end, -end + load, floor, height, width), detail)
    front = end - nose * 0.55 - (0.75 if nose else 1.1)
    rear = [-end + 1.1 + i * 1.2 * wheel / 0.5 for i in range(3 if semi else 1 if light or rng.random() < 0.5 else 2)]
    if semi:
        rear += [-end + load - 1.2, -end + load - 0.1][: 1 + int(rng.random() < 0.5)]
    rim = [colors.STEEL, colors.STEEL * 0.7, colors.WHITE * 0.8, colors.DARK][rng.integers(4)]
    meshes.append(
        wheels([(x, s * width * 0.485) for x in [front, *rear] for s in (1, -1)], wheel, 0.34, rim, 5, detail)
    )
    meshes += _chassis(for_frame, end, length, floor, width, detail)
    return asset_of(join(meshes), "truck", VEHICLE)


@dataclass(frozen=True, slots=True)
class _Cab:
    """Dimensions of a cab in metres; its nose, if any, is the engine hood in front of it."""

    end: float  # x of the foremost point
    length: float
    nose: float
    height: float
    width: float
    color: np.ndarray
    wheel: float

    @property
    def front(self) -> float:
        return self.end - self.nose

    @property
    def back(self) -> float:
        return self.front - self.length

    @property
    def belt(self) -> float:
        return self.height * 0.53

    def both_sides(self, x: float, y: float, z: float) -> np.ndarray:
        """(2, 3) a point and its mirror image."""
        return np.array([(x, s * y, z) for s in (1, -1)])


def _cab(rng: np.random.Generator, cab: _Cab, detail: int) -> list[Mesh]:
    grille = colors.CHROME if rng.random() < 0.25 else colors.BLACK
    out = [_cab_hull(cab, grille, bool(rng.random() < 0.5), detail)]
    if cab.nose:
        out += _hood(cab, grille)
    bumper, material = (colors.CHROME, Material.METAL) if cab.nose else (cab.color * 0.8, Material.PAINT)
    out.append(box((cab.end + 0.02, 0, 0.55), (0.2, cab.width * 0.98, 0.28), bumper, material))
    return out + _cab_details(rng, cab) if detail else out


def _cab_hull(cab: _Cab, grille: np.ndarray, skirted: bool, detail: int) -> Mesh:
    front, back, belt, height, sill = cab.front, cab.back, cab.belt, cab.height, 0.45
    z = np.array([sill, 0.75, belt * 0.8, belt, height * 0.84, height * 0.95, height])
    rake = -0.12 if not cab.nose else -0.3
    width = np.interp(z, [sill, belt, height], [0.98, 1, 0.9])
    rows = np.stack([z, width, np.interp(z, [sill, belt, height], [0, 0, rake * 2]), 0 * z], 1)
    door = back + cab.length * 0.4

    def paint(c: Canvas) -> None:
        glass = c.between(belt, height * 0.84)
        side_glass = (c.x > back + cab.length * 0.42) & (c.x < front - 0.28)
        c.put(c.nose & glass & (np.abs(c.y) < cab.width * 0.46), colors.GLASS_TINT, Material.GLASS)
        c.put(c.side & glass & side_glass, colors.GLASS_TINT, Material.GLASS)
        c.put(c.between(0, 0.75) & skirted, colors.PLASTIC, Material.MATTE)
        if not cab.nose:
            metal = Material.METAL if grille is colors.CHROME else Material.MATTE
            c.put(c.nose & c.between(0.75, belt * 0.8) & (np.abs(c.y) < 0.7), grille, metal)
            c.put(c.nose & c.between(0.4, 0.75) & (np.abs(c.y) > 0.7), colors.LAMP_WHITE, Material.HEADLAMP)
        c.put(c.side & (np.abs(c.x - door) < 0.01) & c.between(0.75, belt), cab.color * 0.15)

    marks = [door - 0.008, door + 0.008, back + cab.length * 0.42, front - 0.28]
    return hull(
        (back, front),
        cab.width,
        rows,
        marks,
        ([0, 0.7], [0]),
        cab.color,
        paint,
        corner=0.2,
        axles=(cab.end - 1.1,) if not cab.nose and detail else (),
        wheel=cab.wheel,
        detail=detail,
    )


def _hood(cab: _Cab, grille: np.ndarray) -> list[Mesh]:
    """Engine hood, grille, fenders and headlamps of a conventional cab."""
    hood_center = (cab.front + cab.nose / 2 - 0.05, 0, cab.belt * 0.68 + 0.05)
    hood_size = (cab.nose + 0.1, cab.width * 0.72, cab.belt * 0.66)
    fenders = cab.both_sides(cab.end - 0.35, cab.width * 0.4, 0.95)
    lamps = cab.both_sides(cab.end + 0.01, cab.width * 0.4, 0.95)
    return [
        box(hood_center, hood_size, cab.color, Material.PAINT, top=(0.92, 0.86)),
        box((cab.end, 0, cab.belt * 0.66), (0.06, cab.width * 0.42, cab.belt * 0.5), grille, Material.METAL),
        boxes(fenders, (0.7, 0.42, 0.3), cab.color, Material.PAINT),
        boxes(lamps, (0.05, 0.26, 0.18), colors.LAMP_WHITE, Material.HEADLAMP),
    ]


def _cab_details(rng: np.random.Generator, cab: _Cab) -> list[Mesh]:
    """Mirrors, plate, roof spoiler and exhaust stacks."""
    mirrors = cab.both_sides(cab.front - 0.05, cab.width / 2 + 0.18, cab.belt + 0.35)
    out = [boxes(mirrors, (0.12, 0.2, 0.6), colors.BLACK)]
    out.append(box((cab.end + 0.13, 0, 0.56), (0.02, 0.52, 0.12), colors.WHITE, Material.SIGN))
    if rng.random() < 0.5 and cab.height > 2.7:
        center, size = (cab.back + cab.length * 0.35, 0, cab.height + 0.25), (cab.length * 0.65, cab.width * 0.85, 0.5)
        out.append(box(center, size, cab.color, Material.PAINT, top=(0.55, 0.9)))
    if cab.nose and rng.random() < 0.6:
        pipes = cab.both_sides(cab.back - 0.12, cab.width * 0.42, 1.0)
        out.append(rods(pipes, pipes + (0, 0, cab.height - 0.5), 0.075, colors.CHROME, Material.METAL, 7))
    return out


def _chassis(
    rng: np.random.Generator, end: float, length: float, floor: float, width: float, detail: int
) -> list[Mesh]:
    """Frame, tanks, mudflaps, tail lamps, underrun bar, plate."""
    out = [box((0, 0, floor - 0.3), (length * 0.96, 0.9, 0.3), colors.BLACK)]
    lamps = np.array([(-end + 0.0, s * (width / 2 - 0.3), floor - 0.25) for s in (1, -1)])
    out.append(boxes(lamps, (0.1, 0.42, 0.16), colors.LAMP_RED, Material.TAILLAMP))
    out.append(
        box(
            (-end + 0.05, 0, floor - 0.55),
            (0.12, width * 0.94, 0.14),
            colors.DARK if rng.random() < 0.5 else colors.GALVANISED,
            Material.METAL,
        )
    )
    if not detail:
        return out
    out.append(boxes(lamps * (1, 0.72, 1) + (-0.01, 0, 0), (0.1, 0.12, 0.14), colors.LAMP_AMBER, Material.INDICATOR))
    out.append(
        boxes(np.array([(-end + 0.5, s * (width / 2 - 0.2), 0.45) for s in (1, -1)]), (0.02, 0.4, 0.6), colors.RUBBER)
    )
    out.append(box((-end - 0.02, 0, floor - 0.28), (0.02, 0.52, 0.12), colors.WHITE, Material.SIGN))
    skirts = rng.random() < 0.5
    sides = np.array([(length * 0.02, s * width * 0.47, floor - 0.42) for s in (1, -1)])
    out.append(
        boxes(sides, (length * 0.22, 0.12, 0.5), colors.linear("b0b4b8")[0] if skirts else colors.DARK, Material.PAINT)
    )
    strips = np.array([(-end + 0.0, s * width * 0.22, floor - 0.55) for s in (1, -1)])
    out.append(
        boxes(
            strips - (0.012, 0, 0),
            (0.012, width * 0.3, 0.1),
            colors.SIGN_RED if rng.random() < 0.5 else colors.SIGN_YELLOW,
            Material.SIGN,
        )
    )
    return out
