"""Cross-sections of streets and parking lots, for right-hand traffic."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from driving_scenes.base.semantic_ids import SIDEWALK, VEGETATION
from driving_scenes.roads.cross_section import ALTERNATIVE, OWN, Layout, Line, LinePaint, Surface
from driving_scenes.roads.highways import undivided
from driving_scenes.roads.markings import line_paint

TARMAC = 0.45  # share of the sidewalks that are of the road's material


def city(rng: np.random.Generator, s: np.ndarray) -> Layout:
    """A city street: parking and cycle lanes, curbs, sidewalks, one or two junctions."""
    road = Layout("city street", s)
    n, m = (
        int(rng.choice([1, 2, 3, 4], p=[0.4, 0.35, 0.18, 0.07])),
        int(rng.choice([0, 1, 2, 3], p=[0.12, 0.43, 0.32, 0.13])),
    )
    width, paint = rng.uniform(2.9, 3.6), line_paint(rng)
    here = road.everywhere()
    if rng.random() < 0.85:
        road.junctions = [(float(rng.uniform(10, 65)), float(rng.uniform(4.5, 10)))]
        if rng.random() < 0.5:
            road.junctions.append((road.junctions[0][0] + float(rng.uniform(60, 120)), float(rng.uniform(4.5, 9))))
    for at, half in road.junctions:
        here &= np.abs(s - at) > half + 1.0
    island = m and n > 1 and rng.random() < 0.25
    undivided(rng, road, n, m, width, paint, center=rng.random() < 0.92)
    if island:
        road.lines = [x for x in road.lines if x.t[0] != 0.0]
        wide = rng.uniform(0.6, 1.2)
        for sign in (-1, 1):
            road.line(sign * wide, "curb", "unknown", up=0.08)
            road.band(Surface.CURB, sign * wide, sign * wide * 0.98, 0.0, 0.16, semantic=SIDEWALK, valid=here)
        road.band(
            Surface.GRASS if rng.random() < 0.6 else Surface.PAVING, wide, -wide, 0.16, semantic=SIDEWALK, valid=here
        )
        road.median = ("trees", 0.0)
    _street_side(rng, road, -1, n * width, paint, here)
    _street_side(rng, road, 1, m * width, paint, here)
    for at, half in road.junctions:
        clear = np.abs(s - at) > half + 3.5
        road.lines = [_cut(x, clear if x.painted else here) for x in road.lines]
    road.verge = ("houses", "houses")
    road.signals = bool(road.junctions) and rng.random() < 0.85
    return road


def _cut(line: Line, keep: np.ndarray) -> Line:
    return replace(line, valid=line.valid & keep)


def _street_side(
    rng: np.random.Generator, road: Layout, sign: int, edge: float, paint: LinePaint, here: np.ndarray
) -> None:
    """Everything outside the outermost travel lane on one side; sign -1 is the right."""
    drivable, direction = ALTERNATIVE, 1 if sign < 0 else -1
    at, closed = edge, False
    if rng.random() < 0.22:
        bike = rng.uniform(1.2, 1.9)
        road.line(sign * at, str(rng.choice(["solid", "dashed"])), "white", paint)
        road.band(road.asphalt, sign * at, sign * (at + bike), drivable=drivable)
        road.lane(sign * (at + bike / 2), bike, direction, "bicycle")
        at, closed = at + bike, True
    if rng.random() < 0.5:
        deep = rng.uniform(2.0, 2.5)
        if rng.random() < 0.5 or closed:
            road.line(sign * at, str(rng.choice(["solid", "dashed"], p=[0.7, 0.3])), "white", paint)
        road.band(road.asphalt, sign * at, sign * (at + deep), drivable=drivable)
        road.lane(sign * (at + deep / 2), deep, direction, "parking", here)
        at += deep
    elif not closed and rng.random() < 0.35:
        color = str(rng.choice(["white", "yellow", "red", "blue"], p=[0.55, 0.3, 0.08, 0.07]))
        style = "double_solid" if color == "yellow" and rng.random() < 0.4 else "solid"
        gutter = rng.uniform(0.25, 0.6)
        road.line(sign * at, style, color, paint)
        road.band(road.asphalt, sign * at, sign * (at + gutter), drivable=drivable)
        at += gutter
    road.line(sign * at, "curb", "unknown", up=0.06)
    sidewalk(rng, road, sign, at, rng.uniform(2.0, 5.0), here, edge_here=here)


def sidewalk(
    rng: np.random.Generator,
    road: Layout,
    sign: int,
    at: float,
    wide: float,
    here: np.ndarray,
    edge_here: np.ndarray,
    green: float = 0.0,
) -> None:
    """Curb, an optional strip of grass `green` metres wide, and pavement from offset `at` outwards."""
    up = rng.uniform(0.08, 0.18)
    road.band(Surface.CURB, sign * at, sign * (at + 0.03), 0.0, up, semantic=SIDEWALK, valid=edge_here)
    road.band(Surface.CURB, sign * (at + 0.03), sign * (at + 0.2), up, semantic=SIDEWALK, valid=edge_here)
    start = at + 0.2
    if green:
        road.band(Surface.GRASS, sign * start, sign * (start + green), up, semantic=VEGETATION, valid=edge_here)
        start += green
    road.band(_sidewalk_surface(road, up), sign * start, sign * (start + wide), up, semantic=SIDEWALK, valid=here)
    road.lane(sign * (start + wide / 2), wide, 1, "walk", here)
    outside = road.row(sign * (start + wide))
    if sign > 0:
        road.left, road.paved = outside, (at, road.paved[1])
    else:
        road.right, road.paved = outside, (road.paved[0], -at)


def _sidewalk_surface(road: Layout, up: float) -> Surface:
    """The road's own material for a share TARMAC of the sidewalks: only the curb tells them apart."""
    # Not drawn: a seed's other objects stay where they are.
    return road.asphalt if up * 1e4 % 1 < TARMAC else Surface.PAVING


def residential(rng: np.random.Generator, s: np.ndarray) -> Layout:
    """A quiet street with gardens and parked cars, often without any line."""
    road = Layout("residential", s)
    width, paint, here = rng.uniform(2.6, 3.4), line_paint(rng), road.everywhere()
    if rng.random() < 0.45:
        road.junctions = [(float(rng.uniform(14, 80)), float(rng.uniform(3.5, 5)))]
        here &= np.abs(s - road.junctions[0][0]) > road.junctions[0][1] + 1.0
    undivided(rng, road, 1, 1, width, paint, center=rng.random() < 0.4)
    for sign in (-1, 1):
        at = width
        if rng.random() < 0.6:
            road.band(road.asphalt, sign * at, sign * (at + 2.1), drivable=ALTERNATIVE)
            road.lane(sign * (at + 1.05), 2.1, 1 if sign < 0 else -1, "parking", here)
            at += 2.1
        road.line(sign * at, "curb", "unknown", up=0.06)
        sidewalk(rng, road, sign, at, rng.uniform(1.3, 2.2), here, here, green=rng.choice([0.0, 0.0, 1.2, 2.0]))
    road.lines = [_cut(x, here) for x in road.lines]
    road.verge = ("gardens", "gardens")
    return road


def parking_lot(rng: np.random.Generator, s: np.ndarray) -> Layout:
    """An aisle between rows of parking bays, without lane lines."""
    road = Layout("parking lot", s)
    aisle, deep, rows = rng.uniform(2.6, 3.6), rng.uniform(4.8, 5.5), int(rng.integers(1, 3))
    here = (s > -60) & (s < rng.uniform(40, 140))
    road.band(road.asphalt, 0.0, -aisle, drivable=OWN)
    road.band(road.asphalt, aisle, 0.0, drivable=OWN)
    road.lane(-aisle / 2, aisle, 1)
    road.lane(aisle / 2, aisle, -1)
    for sign in (-1, 1):
        at = aisle
        for row in range(rows):
            road.band(road.asphalt, sign * at, sign * (at + deep), drivable=ALTERNATIVE)
            road.lane(sign * (at + deep / 2), deep, sign, "bays", here)
            at += deep
            if row + 1 < rows:
                road.band(road.asphalt, sign * at, sign * (at + 6.0), drivable=ALTERNATIVE)
                at += 6.0
        sidewalk(rng, road, sign, at, rng.uniform(1.5, 4), road.everywhere(), road.everywhere())
    road.bay_width = float(rng.uniform(2.3, 2.8))
    left, right = rng.choice(["houses", "gardens", "grass"], 2)
    road.verge = str(left), str(right)
    return road
