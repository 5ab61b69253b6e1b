"""Road markings: lines as ribbons; arrows, stop lines and crosswalks as patches just above the road surface."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from driving_scenes.roads.centerline import Road
from driving_scenes.roads.cross_section import Layout, Line, LinePaint, Surface
from driving_scenes.roads.terrain import Ground

COLORS = {
    "white": (0.78, 0.78, 0.76),
    "yellow": (0.80, 0.48, 0.05),
    "blue": (0.10, 0.22, 0.62),
    "red": (0.62, 0.08, 0.06),
}
# mode of the left and the right stripe: 0 none, 1 solid, 2 dashed, 3 dots
MODES = {
    "solid": (1, 0),
    "dashed": (2, 0),
    "botts_dots": (3, 0),
    "double_solid": (1, 1),
    "double_dashed": (2, 2),
    "solid_dashed": (1, 2),
    "dashed_solid": (2, 1),
}
ARROWS = {
    "straight": [[(0, 0.08), (0, -0.08), (2.6, -0.08), (2.6, 0.08)], [(2.5, 0.4), (2.5, -0.4), (4.2, 0.0)]],
    "left": [
        [(0, 0.08), (0, -0.08), (2.6, -0.08), (2.6, 0.08)],
        [(2.3, 0.08), (2.6, -0.08), (3.3, 0.6), (3.0, 0.65)],
        [(2.7, 0.85), (3.6, 0.45), (3.6, 1.2)],
    ],
}


def ribbon(road: Road, layout: Layout, line: Line) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 17) float32 and faces (F, 3) of one painted line.

    columns: middle x y z, left x y z, side (-1, 1), along, width, gap, dash, period, left mode, right mode, r g b
    """
    n, paint = len(layout.s), line.paint
    heading = np.interp(layout.s, road.s, road.heading)
    left = np.stack([-np.sin(heading), np.cos(heading), np.zeros(n)], -1)
    middle = road.at(layout.s, line.t, 0.004)
    vertices = np.zeros((n, 2, 17), np.float32)
    vertices[..., :3], vertices[..., 3:6] = middle[:, None], left[:, None]
    vertices[..., 6], vertices[..., 7] = [1, -1], (layout.s + paint.phase + 1000.0)[:, None]
    vertices[..., 8:] = (paint.width, paint.gap, paint.dash, paint.period, *MODES[line.style], *COLORS[line.color])
    i = np.flatnonzero(line.valid[:-1] & line.valid[1:]) * 2
    faces = np.concatenate([np.stack([i, i + 1, i + 3], -1), np.stack([i, i + 3, i + 2], -1)])
    return vertices.reshape(-1, 17), faces.astype(np.int32)


def ribbons(roads: list[tuple[Road, Layout]]) -> tuple[np.ndarray, np.ndarray]:
    """All painted lines of all roads as one ribbon mesh."""
    parts = [ribbon(road, layout, line) for road, layout in roads for line in layout.lines if line.painted]
    if not parts:
        return np.zeros((0, 17), np.float32), np.zeros((0, 3), np.int32)
    starts = np.cumsum([0] + [len(v) for v, _ in parts[:-1]])
    return np.concatenate([v for v, _ in parts]), np.concatenate(
        [f + start for (_, f), start in zip(parts, starts)]
    ).astype(np.int32)


def patch(road: Road, corners: ArrayLike, surface: Surface = Surface.PAINT) -> Ground:
    """A convex painted polygon given by its (K, 2) corners s, t; its pixels keep the label of the road below."""
    corners = np.asarray(corners, float)
    points = road.at(corners[:, 0], corners[:, 1], 0.006)
    k = len(corners)
    row = np.concatenate([points, np.tile([0, 0, 1.0], (k, 1)), corners, np.tile([surface, 3 + 16], (k, 1))], 1)
    fan = np.array([[0, i, i + 1] for i in range(1, k - 1)], np.int32)
    a, b = points[1] - points[0], points[2] - points[0]
    if a[0] * b[1] - a[1] * b[0] < 0:
        fan = fan[:, ::-1]
    return Ground(row.astype(np.float32), fan)


def rectangle(road: Road, s0: float, s1: float, t0: float, t1: float, surface: Surface = Surface.PAINT) -> Ground:
    return patch(road, [(s0, t0), (s1, t0), (s1, t1), (s0, t1)], surface)


def disc(road: Road, s: float, t: float, along: float, across: float, surface: Surface = Surface.STAIN) -> Ground:
    """An ellipse, for a manhole cover or a stain."""
    angle = np.arange(10) * 2 * np.pi / 10
    return patch(road, np.stack([s + along * np.cos(angle), t + across * np.sin(angle)], -1), surface)


def surface_details(rng: np.random.Generator, road: Road, layout: Layout) -> list[Ground]:
    """Manhole covers, stains, dark joints, skid marks, arrows, hatching and rumble bars."""
    out: list[Ground] = []
    left, right = layout.paved
    lanes = layout.travel_lanes()
    for _ in range(rng.poisson({"highway": 1.5}.get(layout.scene, 6))):
        s, t, r = rng.uniform(3, 90), rng.uniform(right + 0.5, left - 0.5), rng.uniform(0.25, 0.45)
        out.append(disc(road, s, t, r, r) if rng.random() < 0.6 else disc(road, s, t, r * rng.uniform(1, 6), r))
    for _ in range(rng.poisson(0.8)):
        s, lane = rng.uniform(4, 80), lanes[rng.integers(len(lanes))]
        t = float(np.interp(s, layout.s, lane.t)) + rng.normal(0, 0.2)
        for k in (-0.75, 0.75):
            out.append(rectangle(road, s, s + rng.uniform(4, 20), t + k - 0.09, t + k + 0.09, Surface.STAIN))
    for _ in range(rng.poisson(0.7)):
        s = rng.uniform(4, 80)
        out.append(rectangle(road, s, s + rng.uniform(0.04, 0.12), right, left, Surface.STAIN))
    if rng.random() < 0.12:
        s, lane = rng.uniform(5, 70), lanes[rng.integers(len(lanes))]
        turn = str(rng.choice(["straight", "left", "right"]))
        out += [x for k in range(3) for x in arrow(road, s + 30 * k, float(lane.t[0]), turn, lane.direction)]
    if rng.random() < 0.1:
        s, lane = rng.uniform(8, 60), lanes[rng.integers(len(lanes))]
        w = lane.width * 0.42
        out += [
            rectangle(road, s + k, s + k + rng.uniform(0.15, 0.4), lane.t[0] - w, lane.t[0] + w)
            for k in np.arange(0, rng.integers(3, 8)) * 1.2
        ]
    if layout.junctions and rng.random() < 0.2:
        s, half = layout.junctions[0]
        lean = 0.6 * (left - right) * rng.choice([-1, 1])
        for k in np.arange(-half, half, 2.0):
            low, high = s + k - lean / 2, s + k + lean / 2
            corners = [(low, right + 0.5), (low + 0.2, right + 0.5), (high + 0.2, left - 0.5), (high, left - 0.5)]
            out.append(patch(road, corners, Surface.YELLOW))
    return out


def zebra(road: Road, s: float, t0: float, t1: float, length: float, stripe: float) -> list[Ground]:
    """Crosswalk bars parallel to the road from t0 to t1."""
    return [rectangle(road, s, s + length, t, t + stripe) for t in np.arange(t0, t1 - stripe, 2 * stripe)]


def ladder(road: Road, s: float, t0: float, t1: float, length: float) -> list[Ground]:
    """A crosswalk of two lines across the road."""
    return [rectangle(road, a, a + 0.3, t0, t1) for a in (s, s + length - 0.3)]


def arrow(road: Road, s: float, t: float, turn: str, direction: int = 1) -> list[Ground]:
    """A lane arrow that starts at s, centred at t; `turn` is straight, left or right."""
    shapes, flip = ARROWS["left" if turn == "right" else turn], -1 if turn == "right" else 1
    return [patch(road, [(s + direction * a, t + direction * flip * b) for a, b in shape]) for shape in shapes]


def bay_lines(road: Road, layout: Layout) -> list[Ground]:
    """Lines between the bays of a parking lot."""
    return [
        rectangle(road, s, s + 0.1, lane.t[0] - lane.width / 2, lane.t[0] + lane.width / 2)
        for lane in layout.lanes
        if lane.lane_type == "bays"
        for s in np.arange(-30.0, 120.0, layout.bay_width)
        if lane.exists_at(s, layout.s, 0.9)
    ]


DASHES = [  # (dash, period), metres
    (3.0, 12.0),
    (3.0, 9.0),
    (6.0, 18.0),
    (2.0, 6.0),
    (4.0, 12.0),
    (6.0, 12.0),
    (3.0, 6.0),
    (1.0, 2.5),
    (9.0, 15.0),
]


def line_paint(rng: np.random.Generator) -> LinePaint:
    dash, period = DASHES[rng.integers(len(DASHES))]
    return LinePaint(
        width=float(rng.choice([0.1, 0.12, 0.15, 0.2])),
        gap=float(rng.uniform(0.08, 0.2)),
        dash=dash,
        period=period,
        phase=float(rng.uniform(0, 18)),
    )


def lane_style(rng: np.random.Generator) -> str:
    styles = ["dashed", "botts_dots", "double_dashed", "solid", "double_solid", "solid_dashed", "dashed_solid"]
    return str(rng.choice(styles, p=[0.72, 0.08, 0.04, 0.05, 0.03, 0.04, 0.04]))


def center_style(rng: np.random.Generator) -> tuple[str, str]:
    styles = ["dashed", "double_solid", "solid", "solid_dashed", "dashed_solid", "double_dashed", "botts_dots"]
    style = str(rng.choice(styles, p=[0.36, 0.28, 0.12, 0.09, 0.09, 0.03, 0.03]))
    return style, str(rng.choice(["yellow", "white"], p=[0.55, 0.45]))
