"""Trucks: box, curtain, tanker, flatbed, dumper, semi-trailer, container."""

from __future__ import annotations

import numpy as np

from driving_scenes.assets.vehicles.hull import Canvas, hull
from driving_scenes.assets.vehicles.wheel import wheels
from driving_scenes.base import colors
from driving_scenes.base.asset import VEHICLE, Asset, asset_of, branches
from driving_scenes.base.mesh import Material, Mesh, join
from driving_scenes.base.shapes import box, boxes, disc, prism, rods, rotated, tube

_CABS = colors.linear("f0f0ec", "f0f0ec", "c01a1a", "1a3f8c", "e8b21a", "2a5a3a", "1a1a1c", "8a9094", "d8641a")
_BODIES = colors.linear(
    "eeeeea", "eeeeea", "e2e4e4", "c8ccd0", "a8b0b8", "b02020", "1e4a90", "d8a81a", "3a6a4a", "c8601a", "5a3a2a"
)


def truck(rng: np.random.Generator, detail: int = 1) -> Asset:
    """A truck facing +x."""
    truck_type = str(
        rng.choice(["box", "curtain", "tanker", "flatbed", "dumper", "container"], p=[0.4, 0.2, 0.1, 0.12, 0.1, 0.08])
    )
    semi = truck_type not in ("dumper",) and rng.random() < 0.45
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
    meshes = _cab(
        for_cab,
        end,
        cab,
        nose,
        min(height * 0.92, 3.0 if not semi else 3.5) * (0.88 if light else 1),
        width * 0.97,
        color,
        wheel,
        detail,
    )
    meshes += _load(for_load, truck_type, (-end, -end + load), floor, height, width, detail)
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


def _cab(
    rng: np.random.Generator,
    end: float,
    cab: float,
    nose: float,
    height: float,
    width: float,
    color: np.ndarray,
    wheel: float,
    detail: int,
) -> list[Mesh]:
    front, back = end - nose, end - nose - cab
    belt, sill = height * 0.53, 0.45
    z = np.array([sill, 0.75, belt * 0.8, belt, height * 0.84, height * 0.95, height])
    rake = -0.12 if not nose else -0.3
    rows = np.stack(
        [
            z,
            np.interp(z, [sill, belt, height], [0.98, 1, 0.9]),
            np.interp(z, [sill, belt, height], [0, 0, rake * 2]),
            0 * z,
        ],
        1,
    )
    grille = colors.CHROME if rng.random() < 0.25 else colors.BLACK
    deep = rng.random() < 0.5

    def paint(c: Canvas) -> None:
        glass = c.between(belt, height * 0.84)
        c.put(c.nose & glass & (np.abs(c.y) < width * 0.46), colors.GLASS_TINT, Material.GLASS)
        c.put(c.side & glass & (c.x > back + cab * 0.42) & (c.x < front - 0.28), colors.GLASS_TINT, Material.GLASS)
        c.put(c.between(0, 0.75) & deep, colors.PLASTIC, Material.MATTE)
        if not nose:
            c.put(
                c.nose & c.between(0.75, belt * 0.8) & (np.abs(c.y) < 0.7),
                grille,
                Material.METAL if grille is colors.CHROME else Material.MATTE,
            )
            c.put(c.nose & c.between(0.4, 0.75) & (np.abs(c.y) > 0.7), colors.LAMP_WHITE, Material.HEADLAMP)
        door = np.abs(c.x - (back + cab * 0.4)) < 0.01
        c.put(c.side & door & c.between(0.75, belt), color * 0.15)

    marks = [back + cab * 0.4 - 0.008, back + cab * 0.4 + 0.008, back + cab * 0.42, front - 0.28]
    arch = (end - 1.1,) if not nose and detail else ()
    out = [
        hull(
            (back, front),
            width,
            rows,
            marks,
            ([0, 0.7], [0]),
            color,
            paint,
            corner=0.2,
            axles=arch,
            wheel=wheel,
            detail=detail,
        )
    ]
    if nose:
        out.append(
            box(
                (front + nose / 2 - 0.05, 0, belt * 0.68 + 0.05),
                (nose + 0.1, width * 0.72, belt * 0.66),
                color,
                Material.PAINT,
                top=(0.92, 0.86),
            )
        )
        out.append(box((end, 0, belt * 0.66), (0.06, width * 0.42, belt * 0.5), grille, Material.METAL))
        out.append(
            boxes(
                np.array([(end - 0.35, s * width * 0.4, 0.95) for s in (1, -1)]),
                (0.7, 0.42, 0.3),
                color,
                Material.PAINT,
            )
        )
        out.append(
            boxes(
                np.array([(end + 0.01, s * width * 0.4, 0.95) for s in (1, -1)]),
                (0.05, 0.26, 0.18),
                colors.LAMP_WHITE,
                Material.HEADLAMP,
            )
        )
    out.append(
        box(
            (end + 0.02, 0, 0.55),
            (0.2, width * 0.98, 0.28),
            colors.CHROME if nose else color * 0.8,
            Material.METAL if nose else Material.PAINT,
        )
    )
    if detail:
        spots = np.array([(front - 0.05, s * (width / 2 + 0.18), belt + 0.35) for s in (1, -1)])
        out.append(boxes(spots, (0.12, 0.2, 0.6), colors.BLACK))
        out.append(box((end + 0.13, 0, 0.56), (0.02, 0.52, 0.12), colors.WHITE, Material.SIGN))
        if rng.random() < 0.5 and height > 2.7:
            out.append(
                box(
                    (back + cab * 0.35, 0, height + 0.25),
                    (cab * 0.65, width * 0.85, 0.5),
                    color,
                    Material.PAINT,
                    top=(0.55, 0.9),
                )
            )
        if nose and rng.random() < 0.6:
            pipes = np.array([(back - 0.12, s * width * 0.42, 1.0) for s in (1, -1)])
            out.append(rods(pipes, pipes + (0, 0, height - 0.5), 0.075, colors.CHROME, Material.METAL, 7))
    return out


def _load(
    rng: np.random.Generator,
    truck_type: str,
    span: tuple[float, float],
    floor: float,
    height: float,
    width: float,
    detail: int,
) -> list[Mesh]:
    back, front = span
    length, middle = front - back, (front + back) / 2
    color = colors.one_of(rng, _BODIES)
    bed = box((middle, 0, floor - 0.08), (length, width * 0.98, 0.16), colors.DARK)
    if truck_type in ("box", "curtain", "container"):
        return [bed, *_box_body(rng, truck_type, span, floor, height, width, color, detail)]
    if truck_type == "tanker":
        radius = min((height - floor) / 2, width * 0.49)
        z = floor + radius
        shine = rng.random() < 0.6
        path = [(back + 0.02, 0, z), (back + 0.25, 0, z), (front - 0.25, 0, z), (front - 0.02, 0, z)]
        radii = np.array([[0.85, 0.85], [1, 1], [1, 1], [0.85, 0.85]]) * (width * 0.49, radius)
        out = [
            tube(
                path,
                radii,
                colors.CHROME * 0.9 if shine else color,
                Material.METAL if shine else Material.PAINT,
                sides=16 if detail else 8,
            ),
            bed,
        ]
        if detail:
            out.append(box((middle, 0, z + radius), (length * 0.7, 0.5, 0.12), colors.STEEL, Material.METAL))
            out.append(
                rods(
                    [(back, 0.35, floor), (back, 0.65, floor)],
                    [(back, 0.35, z + radius), (back, 0.65, z + radius)],
                    0.025,
                    colors.STEEL,
                    Material.METAL,
                    4,
                )
            )
            out.append(
                rotated(
                    prism(disc(0.33, 4), 0, 0.02, colors.SIGN_ORANGE, Material.SIGN),
                    pitch=-np.pi / 2,
                    at=(back, -0.5, floor + 0.5),
                )
            )
        return out
    if truck_type == "dumper":
        sides = [
            box(
                (middle, 0, (floor + height * 0.85) / 2 + 0.05),
                (length * 0.98, width * 0.86, height * 0.85 - floor),
                color,
                Material.PAINT,
                top=(1.02, 1.14),
            )
        ]
        load = box(
            (middle, 0, height * 0.85 + 0.05),
            (length * 0.85, width * 0.8, 0.35),
            colors.linear("6a5a44", "8a8478")[rng.integers(2)],
            top=0.55,
        )
        ribs = np.linspace(back + 0.3, front - 0.3, 5)
        spots = np.array([(x, s * width * 0.475, (floor + height * 0.85) / 2) for x in ribs for s in (1, -1)])
        rib = boxes(spots, (0.12, 0.14, height * 0.82 - floor), color * 0.8, Material.PAINT)
        return [bed, *sides, load, rib] if detail else [bed, *sides]
    return [bed, *_flatbed(rng, span, floor, height, width, color)]


def _flatbed(
    rng: np.random.Generator, span: tuple[float, float], floor: float, height: float, width: float, color: np.ndarray
) -> list[Mesh]:
    back, front = span
    middle, length = (front + back) / 2, front - back
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


def _box_body(
    rng: np.random.Generator,
    truck_type: str,
    span: tuple[float, float],
    floor: float,
    height: float,
    width: float,
    color: np.ndarray,
    detail: int,
) -> list[Mesh]:
    back, front = span
    length, middle, tall = front - back, (front + back) / 2, height - floor
    skin = Material.MATTE if truck_type == "curtain" else Material.PAINT
    out = [box((middle, 0, floor + tall / 2), (length, width, tall), color, skin)]
    if not detail:
        return out
    frame = colors.STEEL if rng.random() < 0.6 else color * 0.6
    edges = [(back - 0.01, s * (width / 2 - 0.05), floor + tall / 2) for s in (1, -1)]
    out.append(boxes(np.array(edges), (0.05, 0.1, tall), frame, Material.METAL))
    out.append(
        boxes(
            np.array([(back - 0.01, 0, floor + 0.06), (back - 0.01, 0, height - 0.06)]),
            (0.05, width, 0.12),
            frame,
            Material.METAL,
        )
    )
    if rng.random() < 0.75:  # doors with locking bars, or a roller shutter
        out.append(box((back - 0.012, 0, floor + tall / 2), (0.02, 0.02, tall - 0.2), colors.DARK))
        bars = np.array([(back - 0.03, y * width, floor + 0.1) for y in (-0.3, -0.1, 0.1, 0.3)])
        out.append(rods(bars, bars + (0, 0, tall - 0.2), 0.022, colors.GALVANISED, Material.METAL, 4))
        out.append(boxes(bars + (-0.01, 0.08, 0.5), (0.03, 0.25, 0.05), colors.GALVANISED, Material.METAL))
    else:
        z = np.linspace(floor + 0.2, height - 0.25, 9)
        out.append(boxes(np.stack([0 * z + back - 0.008, 0 * z, z], 1), (0.016, width * 0.9, 0.02), color * 0.4))
    if truck_type in ("container", "curtain") or rng.random() < 0.3:
        x = np.arange(back + 0.3, front - 0.1, 0.6 if truck_type != "container" else 0.45)
        ribs = np.array([(v, s * width / 2, floor + tall / 2) for v in x for s in (1, -1)])
        out.append(boxes(ribs, (0.08, 0.03, tall * 0.94), color * 0.82, skin))
    if rng.random() < 0.4:  # a painted company name: a few blocks of another colour
        letters = int(rng.integers(3, 9))
        x = middle + (np.arange(letters) - letters / 2) * 0.55
        logo_color = colors.one_of(rng, _BODIES)
        high = rng.uniform(0.3, 0.8, letters) * 0.3 + 0.4
        spots = np.array([(v, s * (width / 2 + 0.003), floor + tall * 0.6) for v in x for s in (1, -1)])
        out.append(
            boxes(
                spots,
                np.stack([np.full(2 * letters, 0.36), np.full(2 * letters, 0.01), np.repeat(high, 2)], 1),
                logo_color,
                skin,
            )
        )
    if rng.random() < 0.5:  # reflective contour
        color = [colors.SIGN_RED, colors.SIGN_YELLOW, colors.WHITE][rng.integers(3)]
        out.append(
            boxes(
                np.array([(back - 0.04, 0, floor + 0.06), (back - 0.04, 0, height - 0.06)]),
                (0.012, width * 0.96, 0.06),
                color,
                Material.SIGN,
            )
        )
        out.append(
            boxes(
                np.array([(middle, s * (width / 2 + 0.004), floor + 0.06) for s in (1, -1)]),
                (length * 0.96, 0.01, 0.06),
                color,
                Material.SIGN,
            )
        )
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
