"""Long bodies with rounded corners and painted cells, for truck cabs, buses and trams."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from driving_scenes.base.colors import BLACK
from driving_scenes.base.mesh import Material, Mesh
from driving_scenes.base.shapes import Values, lattice

Paint = Callable[["Canvas"], None]


class Canvas:
    """Cells of a hull: centre x, y (left is positive) and z, which end they belong to, colour and material."""

    def __init__(self, middle: np.ndarray, plan: np.ndarray, nose: np.ndarray, tail: np.ndarray, color: Values):
        cells = middle.shape[:2]
        self.x, self.y = np.broadcast_to(plan[:, 0], cells), np.broadcast_to(plan[:, 1], cells)
        self.z = middle[..., 2]
        self.nose, self.tail = np.broadcast_to(nose, cells), np.broadcast_to(tail, cells)
        self.side = ~self.nose & ~self.tail
        self.color = np.broadcast_to(np.asarray(color, np.float32), (*cells, 3)).copy()
        self.material = np.full(cells, Material.PAINT, np.uint8)

    def between(self, low: float, high: float) -> np.ndarray:
        """Cells of the rows between two heights."""
        return (self.z > low) & (self.z < high)

    def put(self, where: np.ndarray, color: Values, material: int = Material.PAINT) -> None:
        self.color[where], self.material[where] = color, material


def hull(
    span: tuple[float, float],
    width: float,
    rows: Values,
    marks: Values,
    lines: tuple[Values, Values],
    color: Values,
    paint: Paint,
    corner: float = 0.25,
    axles: tuple[float, ...] = (),
    wheel: float = 0.5,
    detail: int = 1,
) -> Mesh:
    """A painted body from x = span[0] to span[1].

    rows   (R, 4) height, fraction of the width, push of the nose (forward) and of the tail (backward)
    marks  x of lines on the sides
    lines  y >= 0 of lines on nose and tail
    axles  x of wheel arches of the given wheel radius
    """
    back, front = span
    half, rows = width / 2, np.asarray(rows, float)
    arc = np.radians([72, 45, 18] if detail else [45])
    turn = np.stack([corner * np.sin(arc), half - corner + corner * np.cos(arc)], 1)
    arch_radius = wheel * 1.15
    arches = [a + arch_radius * np.cos(np.radians([0, 12, 45, 90, 135, 168, 180])) for a in axles]
    x = np.unique(
        np.round(np.concatenate([np.asarray(marks, float).ravel(), *arches, [back + corner, front - corner]]), 3)
    )[::-1]
    x = x[(x <= front - corner + 1e-6) & (x >= back + corner - 1e-6)]
    ends = [np.minimum(np.asarray(line, float), half - corner) for line in lines]
    nose = np.stack([np.full(len(ends[0]), front), ends[0]], 1)
    tail = np.stack([np.full(len(ends[1]), back), ends[1]], 1)
    plan = np.concatenate(
        [
            nose,
            turn + (front - corner, 0),
            np.stack([x, np.full(len(x), half)], 1),
            (turn * (-1, 1) + (back + corner, 0))[::-1],
            tail[::-1],
        ]
    )
    columns = np.arange(len(plan))
    on_nose, on_tail = columns < len(nose) + len(arc), columns >= len(plan) - len(tail) - len(arc)
    plan = np.concatenate([plan, (plan * (1, -1))[-2::-1]])
    on_nose, on_tail = np.r_[on_nose, on_nose[-2::-1]], np.r_[on_tail, on_tail[-2::-1]]
    px, py = plan.T
    lift = np.zeros(len(plan))
    for axle in axles:
        inside = np.abs(px - axle) < arch_radius * 0.999
        lift = np.where(inside, wheel + np.sqrt(np.clip(arch_radius**2 - (px - axle) ** 2, 0, None)), lift)
    push_front, push_back = np.clip((px - front + 0.8) / 0.8, 0, 1) ** 2, np.clip((back + 0.8 - px) / 0.8, 0, 1) ** 2
    z = np.maximum(rows[:, :1], np.minimum(lift, rows[-1, 0] - 0.05))
    points = np.stack([px + rows[:, 2:3] * push_front - rows[:, 3:4] * push_back, py * rows[:, 1:2], z], -1)
    points = np.concatenate(
        [
            points[:1] * (1, 0, 1),
            points,
            points[-1:] * (1, 0.6, 1) + (0, 0, 0.04),
            points[-1:] * (1, 0, 1) + (0, 0, 0.05),
        ]
    )
    middle = (points[:-1, :-1] + points[1:, :-1] + points[:-1, 1:] + points[1:, 1:]) / 4
    level = np.r_[rows[0, 0], (rows[1:, 0] + rows[:-1, 0]) / 2, rows[-1, 0] + 9, rows[-1, 0] + 9]
    middle[..., 2] = level[:, None]
    canvas = Canvas(middle, (plan[:-1] + plan[1:]) / 2, on_nose[:-1] & on_nose[1:], on_tail[:-1] & on_tail[1:], color)
    paint(canvas)
    canvas.color[0], canvas.material[0] = BLACK, Material.MATTE
    return lattice(points, canvas.color, canvas.material, crease=35)


def every(start: float, stop: float, pitch: float, post: float) -> np.ndarray:
    """Lines of a row of windows: a pair of x for the two sides of each post."""
    count = max(int(round((stop - start) / pitch)), 1)
    centers = np.linspace(start, stop, count + 1)
    return np.stack([centers - post / 2, centers + post / 2], 1).ravel()


def on_post(x: np.ndarray, start: float, stop: float, pitch: float, post: float) -> np.ndarray:
    """Whether each x lies on a post of `every`."""
    count = max(int(round((stop - start) / pitch)), 1)
    step = (stop - start) / count
    return np.abs((x - start + step / 2) % step - step / 2) < post / 2
