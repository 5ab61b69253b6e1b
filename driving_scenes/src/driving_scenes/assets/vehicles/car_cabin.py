"""Windows, posts and roof of a car: one lattice."""

from __future__ import annotations

import numpy as np

from driving_scenes.assets.vehicles.car_body import Body, CarStyle, shoulder, x_at
from driving_scenes.base import colors
from driving_scenes.base.mesh import Material, Mesh
from driving_scenes.base.shapes import lattice


def cabin(body: Body, style: CarStyle, detail: int) -> Mesh:
    """Windows, posts and roof."""
    foot_front, foot_rear = x_at(body, body.screen[0]), x_at(body, body.rear[0])
    span = foot_front - foot_rear
    wide, narrow = body.width / 2 * 0.895, body.width / 2 * (0.74 if body.windows else 0.84)
    if body.body_type.startswith("classic"):
        narrow = body.width / 2 * 0.78
    post = 0.05 if detail else 0.07
    posts = [p for p in body.pillars if detail or p == body.pillars[0]]
    inside = [v for p in posts for v in (x_at(body, p) + post / 2, x_at(body, p) - post / 2)]
    rear_post = max(0.06 * span, 0.12) if body.rear[0] > 0.08 else 0.16
    along = np.array([foot_front, foot_front - 0.02, foot_front - 0.07, foot_front - 0.16, foot_front - 0.3, *inside])
    across = np.array([0, 0.5, 0.83, 0.95, 1.0, *[1.0] * len(inside)])
    along = np.concatenate([along, foot_rear + np.array([rear_post + 0.14, 0.13, 0.03, 0])])
    across = np.concatenate([across, [1.0, 0.96, 0.80, 0]])
    order = np.r_[0:5, 5 + np.argsort(-along[5:-3]), len(along) - 3 : len(along)]
    along, across = along[order], across[order]
    along, across = np.r_[along, along[-2::-1]], np.r_[across, -across[-2::-1]]
    fraction = (along - foot_rear) / span
    top = x_at(body, body.rear[1]) + fraction * (x_at(body, body.screen[1]) - x_at(body, body.rear[1]))
    foot = shoulder(body, along) - 0.03
    bend = (top - x_at(body, 0.5 * (body.screen[1] + body.rear[1]))) / body.length
    roof = body.height * (1 - 0.28 * bend**2 - 0.02) - 0.012
    rise = np.array([0, 0.09, 0.5, 0.87, 1.0] if detail else [0, 0.09, 0.87, 1.0])[:, None]
    swell = 0.03 * np.sin(np.pi * np.clip(rise, 0, 1))
    points = np.stack(
        [along + rise * (top - along), across * (wide + rise * (narrow - wide) + swell), foot + rise * (roof - foot)],
        -1,
    )
    inward = np.array([0.92, 0.55, 0.0] if detail else [0.0])[:, None]
    lid = np.stack([top + 0 * inward, points[-1, :, 1] * inward, roof + 0.02 + 0.03 * (1 - inward**2)], -1)
    if detail:
        lid[0, :, 2] = roof + 0.018
    color, material = _cabin_paint(body, style, np.concatenate([rise, inward + 2]), along, across, detail)
    return lattice(np.concatenate([points, lid]), color, material, crease=35)


def _cabin_paint(
    body: Body, style: CarStyle, rise: np.ndarray, along: np.ndarray, across: np.ndarray, detail: int
) -> tuple[np.ndarray, np.ndarray]:
    level = (rise[1:] + rise[:-1])[:, 0] / 2
    glass_row = (level > 0.08) & (level < 0.88)
    x, y = (along[1:] + along[:-1]) / 2, np.abs(across[1:] + across[:-1]) / 2
    cells = len(level), len(x)
    step = np.abs(np.diff(along))
    front, back = x > x_at(body, body.screen[0]) - 0.1, x < x_at(body, body.rear[0]) + 0.1
    ends = (front | back) & (y < 0.84)
    slim = step < 0.075
    side = ~front & ~back & (y > 0.99) & ~slim & (x < x_at(body, body.screen[0]) - 0.28)
    if not body.windows:
        side &= x > x_at(body, body.pillars[0])
    closed_tail = not body.windows and style.spokes in (5, 7)
    glass = ends & ~(back & closed_tail) | side
    color = np.broadcast_to(style.paint, (*cells, 3)).copy()
    material = np.full(cells, Material.PAINT, np.uint8)
    where = glass_row[:, None] & glass[None]
    color[where], material[where] = colors.GLASS_TINT, Material.GLASS
    dark = glass_row[:, None] & (slim & ~front & ~back & (y > 0.99) & body.windows)[None]
    color[dark], material[dark] = colors.BLACK, Material.PAINT
    color[(level > 1.5) & (level > 0)] = style.roof
    if style.tall_tail and detail:
        lamp = glass_row[:, None] & ((x < x_at(body, body.rear[0]) + 0.1) & (y > 0.84) & (y < 0.99))[None]
        color[lamp], material[lamp] = colors.LAMP_RED, Material.TAILLAMP
    return color, material
