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
    rows = np.asarray(rows, float)
    arch_radius = wheel * 1.15
    arches = [x + arch_radius * np.cos(np.radians([0, 12, 45, 90, 135, 168, 180])) for x in axles]
    side_lines = np.concatenate([np.asarray(marks, float).ravel(), *arches])
    plan, on_nose, on_tail = _plan(
        span, width / 2, side_lines, lines, corner, np.radians([72, 45, 18] if detail else [45])
    )
    lift = np.zeros(len(plan))
    for axle in axles:
        offset = plan[:, 0] - axle
        arch = wheel + np.sqrt(np.clip(arch_radius**2 - offset**2, 0, None))
        lift = np.where(np.abs(offset) < arch_radius * 0.999, arch, lift)
    points = _points(span, plan, rows, lift)
    middle = (points[:-1, :-1] + points[1:, :-1] + points[:-1, 1:] + points[1:, 1:]) / 4
    level = np.r_[rows[0, 0], (rows[1:, 0] + rows[:-1, 0]) / 2, rows[-1, 0] + 9, rows[-1, 0] + 9]
    middle[..., 2] = level[:, None]
    canvas = Canvas(middle, (plan[:-1] + plan[1:]) / 2, on_nose[:-1] & on_nose[1:], on_tail[:-1] & on_tail[1:], color)
    paint(canvas)
    canvas.color[0], canvas.material[0] = BLACK, Material.MATTE
    return lattice(points, canvas.color, canvas.material, crease=35)


def _plan(
    span: tuple[float, float],
    half: float,
    side_lines: np.ndarray,
    end_lines: tuple[Values, Values],
    corner: float,
    arc: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(C, 2) outline from the middle of the nose around the left side and back, and which points are nose or tail."""
    back, front = span
    turn = np.stack([corner * np.sin(arc), half - corner + corner * np.cos(arc)], 1)
    x = np.unique(np.round(np.r_[side_lines, back + corner, front - corner], 3))[::-1]
    x = x[(x <= front - corner + 1e-6) & (x >= back + corner - 1e-6)]
    nose_y, tail_y = (np.minimum(np.asarray(y, float), half - corner) for y in end_lines)
    nose = np.stack([np.full(len(nose_y), front), nose_y], 1)
    tail = np.stack([np.full(len(tail_y), back), tail_y], 1)
    front_corner, back_corner = turn + (front - corner, 0), (turn * (-1, 1) + (back + corner, 0))[::-1]
    left = np.concatenate([nose, front_corner, np.stack([x, np.full(len(x), half)], 1), back_corner, tail[::-1]])
    columns = np.arange(len(left))
    on_nose, on_tail = columns < len(nose) + len(arc), columns >= len(left) - len(tail) - len(arc)
    plan = np.concatenate([left, (left * (1, -1))[-2::-1]])
    return plan, np.r_[on_nose, on_nose[-2::-1]], np.r_[on_tail, on_tail[-2::-1]]


def _points(span: tuple[float, float], plan: np.ndarray, rows: np.ndarray, lift: np.ndarray) -> np.ndarray:
    """(R + 3, C, 3) points of the hull: underside, rows and roof."""
    back, front = span
    x, y = plan.T
    push_front, push_back = np.clip((x - front + 0.8) / 0.8, 0, 1) ** 2, np.clip((back + 0.8 - x) / 0.8, 0, 1) ** 2
    z = np.maximum(rows[:, :1], np.minimum(lift, rows[-1, 0] - 0.05))
    points = np.stack([x + rows[:, 2:3] * push_front - rows[:, 3:4] * push_back, y * rows[:, 1:2], z], -1)
    floor, roof = points[:1] * (1, 0, 1), points[-1:]
    return np.concatenate([floor, points, roof * (1, 0.6, 1) + (0, 0, 0.04), roof * (1, 0, 1) + (0, 0, 0.05)])


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
