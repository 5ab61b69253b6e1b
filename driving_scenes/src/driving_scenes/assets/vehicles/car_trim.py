"""What is fixed to a car: plates, mirrors, handles, badges, exhausts, rails, roof signs."""

from __future__ import annotations

import numpy as np

from driving_scenes.assets.vehicles.car_body import Body, CarStyle, level_z, seams, shoulder, tail_x, x_at
from driving_scenes.base import colors
from driving_scenes.base.mesh import Material, Mesh
from driving_scenes.base.shapes import box, boxes


def trim(rng: np.random.Generator, body: Body, style: CarStyle, service: str) -> list[Mesh]:
    """Plates, mirrors, handles, badges, exhausts, rails and roof signs."""
    end, half = body.length / 2, body.width / 2
    level = 0.38 if style.plate_row == 2 else 0.54
    size = (0.014, 0.31, 0.155) if rng.random() < 0.4 else (0.014, 0.52, 0.112)
    rear, z = tail_x(body, level), level_z(body, level, -end)
    out = [
        box(
            (rear - 0.006, 0, z),
            (0.012, size[1] + 0.08, size[2] + 0.05),
            style.paint * 0.35 if not style.classic else colors.DARK,
        )
    ]
    out.append(box((rear - 0.014, 0, z), size, style.plate, Material.SIGN))
    front_plate = rng.random() < 0.75
    if front_plate:
        out.append(box((end + 0.002, 0, level_z(body, 0.3, end)), size, style.plate, Material.SIGN))
    out.append(box((end - 0.035, 0, level_z(body, 0.75, end)), (0.03, 0.1, 0.08), colors.CHROME, Material.METAL))
    out.append(
        box(
            (tail_x(body, 0.75) - 0.004, 0, level_z(body, 0.76, -end)),
            (0.012, 0.1, 0.07),
            colors.CHROME,
            Material.METAL,
        )
    )
    mirror_x, mirror_z = (
        x_at(body, body.screen[0]) - 0.42,
        float(shoulder(body, np.array(x_at(body, body.screen[0])))) + 0.08,
    )
    tall = 2.0 if not body.windows else 1.0
    mirrors = [(mirror_x, s * (half + 0.04), mirror_z + 0.06 * tall) for s in (1, -1)]
    out.append(
        boxes(
            np.array(mirrors),
            (0.11, 0.2, 0.13 * tall),
            style.paint if rng.random() < 0.7 else colors.BLACK,
            Material.PAINT,
        )
    )
    handles = [s - 0.035 for s in seams(body)[1:]]
    spots = [(x_at(body, h), s * half * 0.972, level_z(body, 0.82, 0.0)) for h in handles for s in (1, -1)]
    out.append(
        boxes(
            np.array(spots) + (0.3, 0, 0),
            (0.18, 0.035, 0.03),
            colors.CHROME if style.classic else style.paint * 0.8,
            Material.PAINT,
        )
    )
    exhaust = int(rng.choice([0, 1, 2]))
    pipes = [(-end + 0.06, s * half * 0.6, body.clearance + 0.09) for s in (1, -1)[:exhaust]]
    if pipes:
        out.append(boxes(np.array(pipes), (0.12, 0.09, 0.06), colors.CHROME * 0.5, Material.METAL))
    if style.classic or (body.body_type in ("pickup", "large suv") and rng.random() < 0.5):
        bars = [(x, 0, level_z(body, 0.24, x)) for x in (end + 0.02, -end - 0.02)]
        out.append(boxes(np.array(bars), (0.1, body.width * 0.94, 0.13), colors.CHROME, Material.METAL))
    else:
        marks = [(tail_x(body, 0.2) + 0.03, s * half * 0.66, level_z(body, 0.2, -end)) for s in (1, -1)]
        out.append(boxes(np.array(marks), (0.05, 0.16, 0.035), colors.LAMP_RED, Material.TAILLAMP))
    out += _rear_details(rng, body, style)
    out += _roof_things(rng, body, service)
    return out


def far_trim(body: Body, style: CarStyle) -> list[Mesh]:
    level = 0.38 if style.plate_row == 2 else 0.54
    return [
        box(
            (tail_x(body, level) - 0.004, 0, level_z(body, level, -body.length / 2)),
            (0.02, 0.5, 0.12),
            style.plate,
            Material.SIGN,
        )
    ]


def _rear_details(rng: np.random.Generator, body: Body, style: CarStyle) -> list[Mesh]:
    """The boot or tailgate seam, third brake lamp and wiper."""
    half, end = body.width / 2, body.length / 2
    seam = style.paint * 0.15
    low = 0.3
    out = [box((tail_x(body, low) - 0.001, 0, level_z(body, low, -end)), (0.012, body.width * 0.66, 0.012), seam)]
    if not body.windows:
        height = body.height * 0.8
        out.append(box((-end + 0.045, 0, body.clearance + 0.15 + height / 2), (0.086, 0.012, height), seam))
    if body.rear[0] < 0.06:
        x, z = x_at(body, body.rear[1]) - 0.05, body.height * 0.955
        out.append(box((x, 0, z), (0.16, half * 1.3, 0.03), style.roof, Material.PAINT))
        out.append(box((x - 0.08, 0, z - 0.005), (0.02, 0.3, 0.02), colors.LAMP_RED, Material.TAILLAMP))
    return out


def _roof_things(rng: np.random.Generator, body: Body, service: str) -> list[Mesh]:
    top, middle = body.height * 0.99, x_at(body, (body.screen[1] + body.rear[1]) / 2)
    if service == "taxi":
        return [box((middle, 0, top + 0.06), (0.16, 0.42, 0.14), colors.linear("f5c518")[0], Material.SIGN)]
    if service == "police":
        bar = [
            box(
                (middle, s * 0.3, top + 0.06),
                (0.25, 0.5, 0.12),
                colors.linear("1430a0", "b01018")[(s + 1) // 2],
                Material.PAINT,
            )
            for s in (-1, 1)
        ]
        stripe = [
            box(
                (0.05 * body.length, 0, body.height * 0.42),
                (body.length * 0.4, body.width * 1.004, 0.16),
                colors.linear("1a3c8c")[0],
                Material.PAINT,
            )
        ]
        return bar + stripe
    span = (body.screen[1] - body.rear[1]) * body.length
    rails = body.body_type in ("suv", "large suv", "estate", "minivan") and rng.random() < 0.5
    bits = []
    if rails:
        color = colors.STEEL if rng.random() < 0.5 else colors.BLACK
        bits.append(
            boxes(
                np.array([(middle, s * body.width * 0.33, top - 0.01) for s in (1, -1)]),
                (span * 0.85, 0.035, 0.05),
                color,
                Material.METAL,
            )
        )
    if rng.random() < 0.03 and body.windows:
        bits.append(
            box(
                (middle, 0, top + 0.16),
                (min(span * 0.9, 1.9), 0.75, 0.34),
                colors.BLACK,
                Material.PAINT,
                top=(0.85, 0.8),
            )
        )
    return bits
