"""Truck beds with their bodies and loads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driving_scenes.base import colors
from driving_scenes.base.mesh import Material, Mesh, join
from driving_scenes.base.shapes import box, boxes, disc, prism, rods, rotated, tube

_BODIES = colors.linear(
    "eeeeea", "eeeeea", "e2e4e4", "c8ccd0", "a8b0b8", "b02020", "1e4a90", "d8a81a", "3a6a4a", "c8601a", "5a3a2a"
)


@dataclass(frozen=True, slots=True)
class Bed:
    """Extent of a bed and its body, metres."""

    back: float
    front: float
    floor: float
    height: float
    width: float

    @property
    def length(self) -> float:
        return self.front - self.back

    @property
    def middle(self) -> float:
        return (self.front + self.back) / 2


def loaded_bed(rng: np.random.Generator, truck_type: str, bed: Bed, detail: int) -> list[Mesh]:
    """The bed of a truck with a body of its type."""
    color = colors.one_of(rng, _BODIES)
    platform = box((bed.middle, 0, bed.floor - 0.08), (bed.length, bed.width * 0.98, 0.16), colors.DARK)
    if truck_type in ("box", "curtain", "container"):
        return [platform, *_box_body(rng, truck_type, bed, color, detail)]
    if truck_type == "tanker":
        tank, *fittings = _tank(rng, bed, color, detail)
        return [tank, platform, *fittings]
    if truck_type == "dumper":
        return [platform, *_dumper(rng, bed, color, detail)]
    return [platform, *_flatbed(rng, bed, color)]


def _tank(rng: np.random.Generator, bed: Bed, color: np.ndarray, detail: int) -> list[Mesh]:
    """The tank, and near by its walkway, ladder and hazard plate."""
    back, front, floor = bed.back, bed.front, bed.floor
    radius = min((bed.height - floor) / 2, bed.width * 0.49)
    z = floor + radius
    paint, material = (colors.CHROME * 0.9, Material.METAL) if rng.random() < 0.6 else (color, Material.PAINT)
    path = [(back + 0.02, 0, z), (back + 0.25, 0, z), (front - 0.25, 0, z), (front - 0.02, 0, z)]
    radii = np.array([[0.85, 0.85], [1, 1], [1, 1], [0.85, 0.85]]) * (bed.width * 0.49, radius)
    tank = tube(path, radii, paint, material, sides=16 if detail else 8)
    if not detail:
        return [tank]
    ladder = np.array([(back, 0.35, floor), (back, 0.65, floor)])
    plate = prism(disc(0.33, 4), 0, 0.02, colors.SIGN_ORANGE, Material.SIGN)
    return [
        tank,
        box((bed.middle, 0, z + radius), (bed.length * 0.7, 0.5, 0.12), colors.STEEL, Material.METAL),
        rods(ladder, [(back, 0.35, z + radius), (back, 0.65, z + radius)], 0.025, colors.STEEL, Material.METAL, 4),
        rotated(plate, pitch=-np.pi / 2, at=(back, -0.5, floor + 0.5)),
    ]


def _dumper(rng: np.random.Generator, bed: Bed, color: np.ndarray, detail: int) -> list[Mesh]:
    """A tipper body, and near by its load and ribs."""
    top = bed.height * 0.85
    size = (bed.length * 0.98, bed.width * 0.86, top - bed.floor)
    body = box((bed.middle, 0, (bed.floor + top) / 2 + 0.05), size, color, Material.PAINT, top=(1.02, 1.14))
    soil = colors.linear("6a5a44", "8a8478")[rng.integers(2)]
    if not detail:
        return [body]
    load = box((bed.middle, 0, top + 0.05), (bed.length * 0.85, bed.width * 0.8, 0.35), soil, top=0.55)
    x = np.linspace(bed.back + 0.3, bed.front - 0.3, 5)
    ribs = np.array([(v, s * bed.width * 0.475, (bed.floor + top) / 2) for v in x for s in (1, -1)])
    return [body, load, boxes(ribs, (0.12, 0.14, bed.height * 0.82 - bed.floor), color * 0.8, Material.PAINT)]


def _flatbed(rng: np.random.Generator, bed: Bed, color: np.ndarray) -> list[Mesh]:
    """Headboard, side boards and cargo."""
    back, front, floor, width, middle, length = bed.back, bed.front, bed.floor, bed.width, bed.middle, bed.length
    out = [box((front - 0.05, 0, floor + 0.6), (0.1, width, 1.2), color * 0.7, Material.PAINT)]
    cargo = rng.choice(["none", "crates", "logs", "boards"])
    if rng.random() < 0.6:
        out += [
            box((middle, s * width * 0.49, floor + 0.22), (length, 0.05, 0.44), color, Material.PAINT) for s in (1, -1)
        ]
        out.append(box((back + 0.02, 0, floor + 0.22), (0.05, width, 0.44), color, Material.PAINT))
    if cargo == "crates":
        x = np.arange(back + 0.8, front - 0.7, 1.35)
        size = np.stack([np.full(len(x), 1.15), rng.uniform(1.6, 2.2, len(x)), rng.uniform(0.6, 1.6, len(x))], 1)
        out.append(
            boxes(
                np.stack([x, 0 * x, floor + size[:, 2] / 2], 1),
                size,
                colors.linear("9a7a4a", "6a7a8a", "c8c4b8")[rng.integers(3, size=len(x))],
            )
        )
    if cargo == "logs":
        y, layer = np.meshgrid(np.linspace(-0.42, 0.42, 5) * width, np.arange(4))
        spots = np.stack(
            [0 * y.ravel() + back + 0.1, y.ravel() * (1 - 0.1 * layer.ravel()), floor + 0.28 + layer.ravel() * 0.4], 1
        )
        out.append(
            join(
                [
                    tube([s, s + (length - 0.4, 0, 0)], [0.22, 0.2], colors.WOOD * rng.uniform(0.7, 1.6), sides=7)
                    for s in spots
                ]
            )
        )
    if cargo == "boards":
        out.append(box((middle, 0, floor + 0.45), (length * 0.85, width * 0.8, 0.9), colors.linear("c8a468")[0]))
    return out


def _box_body(rng: np.random.Generator, truck_type: str, bed: Bed, color: np.ndarray, detail: int) -> list[Mesh]:
    """A box, curtain or container body."""
    tall, middle_z = bed.height - bed.floor, bed.floor + (bed.height - bed.floor) / 2
    skin = Material.MATTE if truck_type == "curtain" else Material.PAINT
    out = [box((bed.middle, 0, middle_z), (bed.length, bed.width, tall), color, skin)]
    if not detail:
        return out
    frame = colors.STEEL if rng.random() < 0.6 else color * 0.6
    posts = np.array([(bed.back - 0.01, s * (bed.width / 2 - 0.05), middle_z) for s in (1, -1)])
    beams = np.array([(bed.back - 0.01, 0, bed.floor + 0.06), (bed.back - 0.01, 0, bed.height - 0.06)])
    out.append(boxes(posts, (0.05, 0.1, tall), frame, Material.METAL))
    out.append(boxes(beams, (0.05, bed.width, 0.12), frame, Material.METAL))
    out += _rear_doors(bed) if rng.random() < 0.75 else [_shutter(bed, color)]
    if truck_type in ("container", "curtain") or rng.random() < 0.3:
        x = np.arange(bed.back + 0.3, bed.front - 0.1, 0.6 if truck_type != "container" else 0.45)
        ribs = np.array([(v, s * bed.width / 2, middle_z) for v in x for s in (1, -1)])
        out.append(boxes(ribs, (0.08, 0.03, tall * 0.94), color * 0.82, skin))
    if rng.random() < 0.4:
        out.append(_logo(rng, bed, skin))
    if rng.random() < 0.5:
        out += _reflectors(rng, bed)
    return out


def _rear_doors(bed: Bed) -> list[Mesh]:
    """The gap between two doors, and their locking bars."""
    tall, middle_z = bed.height - bed.floor, bed.floor + (bed.height - bed.floor) / 2
    bars = np.array([(bed.back - 0.03, y * bed.width, bed.floor + 0.1) for y in (-0.3, -0.1, 0.1, 0.3)])
    return [
        box((bed.back - 0.012, 0, middle_z), (0.02, 0.02, tall - 0.2), colors.DARK),
        rods(bars, bars + (0, 0, tall - 0.2), 0.022, colors.GALVANISED, Material.METAL, 4),
        boxes(bars + (-0.01, 0.08, 0.5), (0.03, 0.25, 0.05), colors.GALVANISED, Material.METAL),
    ]


def _shutter(bed: Bed, color: np.ndarray) -> Mesh:
    z = np.linspace(bed.floor + 0.2, bed.height - 0.25, 9)
    slats = np.stack([0 * z + bed.back - 0.008, 0 * z, z], 1)
    return boxes(slats, (0.016, bed.width * 0.9, 0.02), color * 0.4)


def _logo(rng: np.random.Generator, bed: Bed, skin: Material) -> Mesh:
    """A company name on both sides: a few blocks of another colour."""
    letters = int(rng.integers(3, 9))
    x = bed.middle + (np.arange(letters) - letters / 2) * 0.55
    logo_color = colors.one_of(rng, _BODIES)
    heights = np.repeat(rng.uniform(0.3, 0.8, letters) * 0.3 + 0.4, 2)
    z = bed.floor + (bed.height - bed.floor) * 0.6
    positions = np.array([(v, s * (bed.width / 2 + 0.003), z) for v in x for s in (1, -1)])
    sizes = np.stack([np.full(2 * letters, 0.36), np.full(2 * letters, 0.01), heights], 1)
    return boxes(positions, sizes, logo_color, skin)


def _reflectors(rng: np.random.Generator, bed: Bed) -> list[Mesh]:
    """Reflective contour strips on rear and sides."""
    color = [colors.SIGN_RED, colors.SIGN_YELLOW, colors.WHITE][rng.integers(3)]
    rear = np.array([(bed.back - 0.04, 0, bed.floor + 0.06), (bed.back - 0.04, 0, bed.height - 0.06)])
    sides = np.array([(bed.middle, s * (bed.width / 2 + 0.004), bed.floor + 0.06) for s in (1, -1)])
    return [
        boxes(rear, (0.012, bed.width * 0.96, 0.06), color, Material.SIGN),
        boxes(sides, (bed.length * 0.96, 0.01, 0.06), color, Material.SIGN),
    ]
