"""Parts fixed to a car: plates, mirrors, handles, badges, exhausts, rails, roof signs, an open door."""

from __future__ import annotations

import numpy as np

from driving_scenes.assets.vehicles.car_body import Body, CarStyle, level_z, seams, shoulder, tail_x, x_at
from driving_scenes.base import colors
from driving_scenes.base.mesh import Material, Mesh, join
from driving_scenes.base.shapes import box, boxes


def trim(rng: np.random.Generator, body: Body, style: CarStyle, service: str) -> list[Mesh]:
    """All parts fixed to a car seen from near; `service` is empty, taxi or police."""
    return [
        *_plates_and_badges(rng, body, style),
        *_mirrors_and_handles(rng, body, style),
        *_exhausts_and_bumpers(rng, body, style),
        *_rear_details(body, style),
        *_roof_parts(rng, body, service),
    ]


def _plates_and_badges(rng: np.random.Generator, body: Body, style: CarStyle) -> list[Mesh]:
    end = body.length / 2
    level = 0.38 if style.plate_row == 2 else 0.54
    size = (0.014, 0.31, 0.155) if rng.random() < 0.4 else (0.014, 0.52, 0.112)
    rear, z = tail_x(body, level), level_z(body, level, -end)
    recess = style.paint * 0.35 if not style.classic else colors.DARK
    out = [box((rear - 0.006, 0, z), (0.012, size[1] + 0.08, size[2] + 0.05), recess)]
    out.append(box((rear - 0.014, 0, z), size, style.plate, Material.SIGN))
    if rng.random() < 0.75:
        out.append(box((end + 0.002, 0, level_z(body, 0.3, end)), size, style.plate, Material.SIGN))
    out.append(box((end - 0.035, 0, level_z(body, 0.75, end)), (0.03, 0.1, 0.08), colors.CHROME, Material.METAL))
    badge = (tail_x(body, 0.75) - 0.004, 0, level_z(body, 0.76, -end))
    out.append(box(badge, (0.012, 0.1, 0.07), colors.CHROME, Material.METAL))
    return out


def _mirrors_and_handles(rng: np.random.Generator, body: Body, style: CarStyle) -> list[Mesh]:
    half, screen_x = body.width / 2, x_at(body, body.screen[0])
    mirror_x, mirror_z = screen_x - 0.42, float(shoulder(body, np.array(screen_x))) + 0.08
    tall = 2.0 if not body.windows else 1.0
    mirrors = np.array([(mirror_x, s * (half + 0.04), mirror_z + 0.06 * tall) for s in (1, -1)])
    paint = style.paint if rng.random() < 0.7 else colors.BLACK
    doors = [s - 0.035 for s in seams(body)[1:]]
    handles = np.array([(x_at(body, d), s * half * 0.972, level_z(body, 0.82, 0.0)) for d in doors for s in (1, -1)])
    handle_paint = colors.CHROME if style.classic else style.paint * 0.8
    return [
        boxes(mirrors, (0.11, 0.2, 0.13 * tall), paint, Material.PAINT),
        boxes(handles + (0.3, 0, 0), (0.18, 0.035, 0.03), handle_paint, Material.PAINT),
    ]


def _exhausts_and_bumpers(rng: np.random.Generator, body: Body, style: CarStyle) -> list[Mesh]:
    """Exhaust pipes, and chrome bumpers or rear reflectors."""
    end, half, out = body.length / 2, body.width / 2, []
    exhausts = int(rng.choice([0, 1, 2]))
    pipes = [(-end + 0.06, s * half * 0.6, body.clearance + 0.09) for s in (1, -1)[:exhausts]]
    if pipes:
        out.append(boxes(np.array(pipes), (0.12, 0.09, 0.06), colors.CHROME * 0.5, Material.METAL))
    if style.classic or (body.body_type in ("pickup", "large suv") and rng.random() < 0.5):
        bumpers = np.array([(x, 0, level_z(body, 0.24, x)) for x in (end + 0.02, -end - 0.02)])
        out.append(boxes(bumpers, (0.1, body.width * 0.94, 0.13), colors.CHROME, Material.METAL))
    else:
        reflectors = [(tail_x(body, 0.2) + 0.03, s * half * 0.66, level_z(body, 0.2, -end)) for s in (1, -1)]
        out.append(boxes(np.array(reflectors), (0.05, 0.16, 0.035), colors.LAMP_RED, Material.TAILLAMP))
    return out


def far_trim(body: Body, style: CarStyle) -> list[Mesh]:
    """The rear plate alone."""
    level = 0.38 if style.plate_row == 2 else 0.54
    return [
        box(
            (tail_x(body, level) - 0.004, 0, level_z(body, level, -body.length / 2)),
            (0.02, 0.5, 0.12),
            style.plate,
            Material.SIGN,
        )
    ]


def _rear_details(body: Body, style: CarStyle) -> list[Mesh]:
    """Seam of trunk or tailgate, roof spoiler and third brake lamp."""
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


def _roof_parts(rng: np.random.Generator, body: Body, service: str) -> list[Mesh]:
    """Taxi sign, police lights and stripe, roof rails or a roof box."""
    top, middle = body.height * 0.99, x_at(body, (body.screen[1] + body.rear[1]) / 2)
    if service == "taxi":
        return [box((middle, 0, top + 0.06), (0.16, 0.42, 0.14), colors.linear("f5c518")[0], Material.SIGN)]
    if service == "police":
        lights = zip((-0.3, 0.3), colors.linear("1430a0", "b01018"))
        bar = [box((middle, y, top + 0.06), (0.25, 0.5, 0.12), color, Material.PAINT) for y, color in lights]
        stripe = (body.length * 0.4, body.width * 1.004, 0.16)
        blue = colors.linear("1a3c8c")[0]
        return [*bar, box((0.05 * body.length, 0, body.height * 0.42), stripe, blue, Material.PAINT)]
    span, out = (body.screen[1] - body.rear[1]) * body.length, []
    if body.body_type in ("suv", "large suv", "estate", "minivan") and rng.random() < 0.5:
        color = colors.STEEL if rng.random() < 0.5 else colors.BLACK
        rails = np.array([(middle, s * body.width * 0.33, top - 0.01) for s in (1, -1)])
        out.append(boxes(rails, (span * 0.85, 0.035, 0.05), color, Material.METAL))
    if rng.random() < 0.03 and body.windows:
        size = (min(span * 0.9, 1.9), 0.75, 0.34)
        out.append(box((middle, 0, top + 0.16), size, colors.BLACK, Material.PAINT, top=(0.85, 0.8)))
    return out


def open_door(body: Body, style: CarStyle, side: int) -> Mesh:
    """The front door of the left (1) or right (-1) side, wide open, and the dark opening behind it."""
    front, rear = (x_at(body, seam) for seam in seams(body)[:2])
    length, middle = front - rear, (front + rear) / 2
    low, high = level_z(body, 0.04, middle), float(shoulder(body, np.array(middle)))
    opening = box(
        (middle, side * body.width / 2, (low + high) / 2), (length * 0.96, 0.024, (high - low) * 0.94), colors.BLACK
    )
    angle = -side * np.radians(62)
    world = np.eye(4)
    world[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    world[:2, 3] = front, side * body.width / 2 * 0.985
    return join([opening, join(_door_leaf(style, length, low, high, body.height * 0.9, side)).moved(world)])


def _door_leaf(style: CarStyle, length: float, low: float, high: float, top: float, side: int) -> list[Mesh]:
    """A closed door behind its hinge at x = y = 0: sheet, lining, window and frame between heights in metres."""
    inside, tall, pane = -side * 0.05, high - low, top - high
    return [
        box((-length / 2, 0, low + tall / 2), (length, 0.05, tall), style.paint, Material.PAINT),
        box((-length / 2, inside, low + tall / 2), (length * 0.95, 0.06, tall * 0.92), colors.DARK),
        box((-length * 0.56, inside, high + pane / 2), (length * 0.78, 0.012, pane), colors.GLASS_TINT, Material.GLASS),
        box((-length * 0.56, inside, top), (length * 0.82, 0.035, 0.05), colors.BLACK),
        box((-length * 0.96, inside, high + pane / 2), (0.05, 0.035, pane), colors.BLACK),
    ]
