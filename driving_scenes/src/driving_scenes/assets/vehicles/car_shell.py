"""Sides, nose, tail, hood and trunk of a car as one lattice.

Columns run around the plan from the middle of the nose along the left side to the tail and back along the right; rows
run from under the sill to the shoulder and on across hood and trunk to the middle line. Its lines follow the edges of
lamps, seams and grille, so that these are cells of the lattice.
"""

from __future__ import annotations

import numpy as np

from driving_scenes.assets.vehicles.car_body import FAR_ROWS, ROWS, Body, CarStyle, axles, seams, shoulder, x_at
from driving_scenes.base import colors
from driving_scenes.base.mesh import Material, Mesh
from driving_scenes.base.shapes import lattice


def shell(body: Body, style: CarStyle, detail: int) -> Mesh:
    """The shell without windows and roof."""
    plan = _plan(body, style, detail)
    plan = np.concatenate([plan, (plan * (1, -1))[-2::-1]])
    rows = ROWS if detail else FAR_ROWS
    points = _shell_points(body, plan, rows, np.array([0.97, 0.72, 0.4, 0.0]) if detail else np.array([0.0]))
    middle = (points[:-1, :-1] + points[1:, :-1] + points[:-1, 1:] + points[1:, 1:]) / 4
    cell_plan = (plan[:-1] + plan[1:]) / 2
    color, material = _shell_paint(body, style, middle, cell_plan, rows, np.abs(np.diff(plan[:, 0])))
    fraction = middle[..., 0] / body.length + 0.5
    deck = np.arange(len(middle)) >= len(rows)
    hidden = deck[:, None] & (fraction > body.rear[0] + 0.04) & (fraction < body.screen[0] - 0.06)
    return lattice(points, color, material, crease=35, keep=~hidden)


def _plan(body: Body, style: CarStyle, detail: int) -> np.ndarray:
    """(C, 2) outline of the left half from the middle of the nose to the middle of the tail, lines at every feature."""
    half, end, corner = body.width / 2, body.length / 2, body.roundness
    turn = np.radians([78, 55, 30, 8] if detail else [45])
    corner_y = corner * 0.75
    arc = np.stack([end - corner + corner * np.sin(turn), half - corner_y + corner_y * np.cos(turn)], 1)
    sides = [np.array([end - corner * 1.02])]
    arch_radius = body.wheel * 1.13 + 0.015
    angles = np.radians([0, 9, 32, 58, 90, 122, 148, 171, 180] if detail else [10, 60, 120, 170])
    sides += [axle + arch_radius * np.cos(angles) for axle in axles(body)]
    if detail:
        sides += [x_at(body, s) + np.array([0.007, -0.007]) for s in seams(body)]
    sides.append(np.array([-end + corner * 1.02]))
    x = np.unique(np.concatenate(sides).round(4))[::-1]
    x = x[(x <= end - corner) & (x >= -end + corner)]
    side = np.stack([x, np.full(len(x), half)], 1)
    nose_y = (
        np.array([0, style.grille * 0.5, style.grille, style.lamp_inner]) if detail else np.array([0, style.lamp_inner])
    )
    tail_y = np.array([0, 0.3, style.tail_inner]) if detail else np.array([0, style.tail_inner])
    nose_y, tail_y = np.minimum(nose_y * half, half - corner_y - 0.02), np.minimum(tail_y * half, half - corner_y * 0.6)
    bulge = 0.1 if not style.classic else 0.02
    nose = np.stack([end - bulge * (nose_y / half) ** 2, nose_y], 1)
    tail = np.stack([-end + 0.06 * (tail_y / half) ** 2, tail_y], 1)
    front, back = arc, arc * (-1, 1)
    front = front - np.stack([bulge * np.clip(1 - (end - front[:, 0]) / corner, 0, 1) * 0.8, 0 * front[:, 1]], 1)
    back = back + np.stack([0.05 * np.clip(1 - (end + back[:, 0]) / corner, 0, 1), 0 * back[:, 1]], 1)
    return np.concatenate([nose, front, side, back[::-1], tail[::-1]])


def _shell_points(body: Body, plan: np.ndarray, rows: np.ndarray, deck: np.ndarray) -> np.ndarray:
    x, y = plan.T
    end = body.length / 2
    nose, tail = np.clip((x - end + 0.7) / 0.7, 0, 1) ** 2, np.clip((-x - end + 0.5) / 0.5, 0, 1) ** 2
    low = body.clearance + 0.07 * nose + 0.1 * tail
    high = shoulder(body, x)
    arch = np.zeros_like(x)
    for axle in axles(body):
        arch_radius = body.wheel * 1.13 + 0.015
        inside = np.abs(x - axle) < arch_radius * 0.9999
        arch = np.where(inside, body.wheel + np.sqrt(np.clip(arch_radius**2 - (x - axle) ** 2, 0, None)), arch)
    side = np.stack(
        [
            x + rows[:, 2:3] * tail + rows[:, 3:4] * nose,
            y * rows[:, 1:2] * (1 - 0.06 * rows[:, :1] * (nose + tail)),
            np.maximum(low + rows[:, :1] * (high - low), np.minimum(arch, high - 0.05)),
        ],
        -1,
    )
    inner = side[:1] * (0.985, 0.6, 1)
    top = side[-1:] * np.stack([np.ones_like(deck), deck, np.ones_like(deck)], 1)[:, None]
    top[..., 2] += (0.045 * (1 - deck**2))[:, None] - 0.02 * nose
    if body.body_type == "pickup":
        top[(deck < 0.9)[:, None] & (x < x_at(body, body.rear[0]) - 0.02)[None], 2] -= 0.45
    return np.concatenate([inner, side, top])


def _shell_paint(
    body: Body, style: CarStyle, middle: np.ndarray, plan: np.ndarray, rows: np.ndarray, step: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Colour and material of every cell of the shell."""
    cells = middle.shape[:2]
    x, y = np.broadcast_to(plan[:, 0], cells), np.broadcast_to(np.abs(plan[:, 1]), cells) / (body.width / 2)
    mid = np.full(len(middle), 2.0)
    mid[0], mid[1 : len(rows)] = -1, (rows[1:, 0] + rows[:-1, 0]) / 2
    level = np.broadcast_to(mid[:, None], cells)
    end = body.length / 2
    nose, tail = x > end - body.roundness * 0.92, x < -end + body.roundness * 0.75
    color = np.broadcast_to(style.paint, (*cells, 3)).copy()
    material = np.full(cells, Material.PAINT, np.uint8)

    def put(where: np.ndarray, paint: np.ndarray, surface: int) -> None:
        color[where], material[where] = paint, surface

    side_level = (level > 0) & (level < 1)
    put(
        side_level & (level < 0.1),
        style.trim * (0.8 if style.trim is style.paint else 1),
        Material.PAINT if style.trim is style.paint else Material.MATTE,
    )
    if style.trim is not style.paint:
        put(side_level & (level < 0.3), style.trim, Material.MATTE)
    if body.clearance < 0.3:
        put((nose | tail) & (level > 0) & (level < 0.1), colors.PLASTIC, Material.MATTE)
    put(_seam_columns(body, plan, step)[None] & side_level & (level > 0.08), style.paint * 0.12, Material.MATTE)
    lamp = (level > 0.62) & (level < 0.86) if len(rows) > 5 else (level > 0.6) & (level < 0.9)
    put(
        nose & (y < style.grille) & (level > 0.3) & (level < (0.86 if not style.classic else 0.62)),
        style.grille_color,
        Material.METAL if style.classic else Material.MATTE,
    )
    put(
        nose & (y < style.grille * 1.4) & (level > 0.08) & (level < 0.3) & (not style.classic),
        colors.BLACK,
        Material.MATTE,
    )
    put(nose & (y > style.lamp_inner) & lamp & ((y < 0.97) | style.classic), colors.LAMP_WHITE, Material.HEADLAMP)
    put(nose & (y > 0.955) & lamp, colors.LAMP_AMBER if style.classic else colors.LAMP_WHITE * 0.8, Material.INDICATOR)
    lamps = tail & _tail_lamp_rows(style, rows, len(middle))[:, None] & side_level
    put(lamps & (y > style.tail_inner), colors.LAMP_RED, Material.TAILLAMP)
    put(
        lamps & (y <= style.tail_inner) & style.light_bar & (level > 0.62) & (level < 0.86),
        colors.LAMP_RED,
        Material.TAILLAMP,
    )
    if style.amber and len(rows) > 5:
        first = (level > ROWS[style.tail_rows[0], 0]) & (level < ROWS[style.tail_rows[0] + 1, 0])
        put(lamps & first & (y > style.tail_inner) & (y < 0.93), colors.LAMP_AMBER * 0.7, Material.INDICATOR)
    put(level < 0, colors.BLACK, Material.MATTE)
    if body.body_type == "pickup":
        bed = (level > 1) & (x < x_at(body, body.rear[0])) & (np.abs(middle[..., 1]) < body.width * 0.43)
        put(bed, colors.BLACK, Material.MATTE)
    return color, material


def _seam_columns(body: Body, plan: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Which columns are door seams: the narrow ones that do not belong to a corner or wheel arch."""
    seam: np.ndarray = (step < 0.02) & (np.abs(plan[:, 0]) < body.length / 2 - body.roundness)
    for axle in axles(body):
        seam &= np.abs(np.abs(plan[:, 0] - axle) - body.wheel * 1.13) > 0.03
    return seam


def _tail_lamp_rows(style: CarStyle, rows: np.ndarray, count: int) -> np.ndarray:
    """Which of `count` rows of cells hold tail lamps."""
    out = np.zeros(count, bool)
    for row in style.tail_rows:
        out[1 : len(rows)] |= (rows[:-1, 0] < ROWS[row + 1, 0] - 0.01) & (rows[1:, 0] > ROWS[row, 0] + 0.01)
    return out
