"""Cross-sections of highways, country roads and tunnels, for right-hand traffic."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from driving_scenes.base.semantic_ids import BUILDING, SIDEWALK, VEGETATION
from driving_scenes.roads.cross_section import ALTERNATIVE, BARRIERS, OWN, Layout, LinePaint, Offset, Surface
from driving_scenes.roads.markings import center_style, lane_style, line_paint

FOOT = 0.4  # metres in front of a barrier where no wheel goes
CAR = 1.9  # metres of asphalt that a car needs between an edge line and a barrier
MEDIANS = {"grass": 0.2, "barrier": 0.42, "rail": 0.16, "wall": 0.07, "wide": 0.15}
VERGES = {"grass": 0.24, "dirt": 0.18, "rail": 0.22, "wall": 0.15, "barrier": 0.21}
RURAL_VERGES = {"grass": 0.42, "dirt": 0.2, "rail": 0.2, "wall": 0.06, "barrier": 0.12}


def highway(rng: np.random.Generator, s: np.ndarray) -> Layout:
    """A carriageway of 1 to 5 lanes, the median and the opposite carriageway; about one in three has a ramp."""
    road = Layout("highway", s)
    n, width = int(rng.choice([1, 2, 3, 4, 5], p=[0.05, 0.3, 0.35, 0.2, 0.1])), rng.uniform(3.4, 3.8)
    road.asphalt = Surface.CONCRETE if rng.random() < 0.22 else Surface.ASPHALT
    median, left_verge, right_verge = _drawn(rng, MEDIANS), _drawn(rng, VERGES), _drawn(rng, VERGES)
    inner, outer = _strip(rng, median, 0.4, 3.0), _strip(rng, right_verge, 0.6, 3.4)
    paint, edge = line_paint(rng), str(rng.choice(["yellow", "white"], p=[0.62, 0.38]))
    odd = rng.random() < 0.06
    main = "yellow" if odd and rng.random() < 0.6 else "white"
    if _has_edge_line(rng, median):
        road.line(0.0, "solid", "yellow" if main == "yellow" else edge, paint)
    for i in range(1, n):
        color = "blue" if i == 1 and rng.random() < 0.05 else ("yellow" if i == 1 and rng.random() < 0.05 else main)
        road.line(-i * width, lane_style(rng), color, paint)
    for i in range(n):
        road.lane(-(i + 0.5) * width, width, 1)
    road.band(road.asphalt, 0.0, -n * width, drivable=OWN)
    _shoulder(rng, road, 0.0, inner, median)
    if rng.random() < 0.35:
        right = _ramp(rng, road, n * width, width, outer, paint, main, right_verge)
    else:
        if _has_edge_line(rng, right_verge):
            road.line(-n * width, "solid", main, paint)
        _shoulder(rng, road, -n * width, -n * width - outer, right_verge)
        right = road.row(-n * width - outer)
    left = _opposite(rng, road, inner, width, paint, edge, (median, left_verge))
    road.left, road.right = left, right
    road.paved = (float(np.max(left)), float(np.min(right)))
    road.verge = left_verge, right_verge
    return road


def _drawn(rng: np.random.Generator, frequencies: dict[str, float]) -> str:
    return str(rng.choice(list(frequencies), p=list(frequencies.values())))


def _strip(rng: np.random.Generator, verge: str, least: float, most: float) -> float:
    """Width of the asphalt outside an edge line; barriers often stand close to the lane."""
    near = verge in BARRIERS and rng.random() < 0.55
    return float(rng.uniform(0.15, 0.8) if near else rng.uniform(least, most))


def _has_edge_line(rng: np.random.Generator, verge: str) -> bool:
    """Whether there is a line along a verge: in front of one barrier in four there is none."""
    return verge not in BARRIERS or bool(rng.random() < 0.75)


def _shoulder(
    rng: np.random.Generator,
    road: Layout,
    edge: Offset,
    outside: Offset,
    verge: str,
    drivable: int = ALTERNATIVE,
    valid: np.ndarray | None = None,
) -> None:
    """Asphalt from an edge line to the outside; in front of a barrier only what a car fits on is drivable."""
    wide = np.asarray(outside) - np.asarray(edge)
    if verge not in BARRIERS:
        road.band(road.asphalt, edge, outside, drivable=drivable, valid=valid)
        return
    if np.abs(wide).min() > CAR + FOOT:
        inside = outside - np.sign(wide) * FOOT
        road.band(road.asphalt, edge, inside, drivable=drivable, valid=valid)
        edge = inside
    foot = [road.asphalt, Surface.CONCRETE, Surface.DIRT][rng.choice(3, p=[0.6, 0.25, 0.15])]
    road.band(foot, edge, outside, drivable=0, valid=valid)


def _ramp(
    rng: np.random.Generator,
    road: Layout,
    edge: float,
    width: float,
    outer: float,
    paint: LinePaint,
    color: str,
    verge: str,
) -> np.ndarray:
    """An exit or, reversed, an entry: a lane widens at the right edge and forks off. Returns the outermost offset."""
    start = rng.uniform(-60, 60)
    fork = start + rng.uniform(60, 140)
    along = road.s if rng.random() < 0.65 else 2 * fork - road.s
    grown = np.clip((along - start) / 40, 0, 1)
    apart = np.maximum(along - fork, 0) ** 2 / rng.uniform(350, 700)
    apart = np.minimum(apart, 60.0)
    lane = grown * width
    outside: np.ndarray = -edge - lane - apart
    on, off = (along < fork) & (grown > 0.3), along >= fork
    short_dashes = replace(paint, dash=1.0, period=3.0, width=paint.width * 1.6)
    road.line(-edge, "dashed", color, short_dashes, on)
    road.line(-edge, "solid", color, paint, (grown <= 0.3) | off)
    road.line(-edge - apart, "solid", color, paint, off & (apart > 0.3), scope="other")
    # Before the lane begins, the line above is the edge line: do not paint a second one over it.
    road.line(outside, "solid", color, paint, grown > 0.3)
    road.band(road.asphalt, -edge, -edge - lane, drivable=OWN, valid=along <= fork + 2)
    road.band(road.asphalt, -edge, -edge - np.minimum(apart, 2.5), drivable=ALTERNATIVE, valid=off)
    gore = np.minimum(apart, 2.5)
    road.band(Surface.GRASS, -edge - gore, -edge - apart, 0.0, semantic=VEGETATION, valid=off & (apart > 2.6))
    road.band(road.asphalt, -edge - apart, outside, drivable=ALTERNATIVE, valid=off)
    _shoulder(rng, road, outside, outside - outer, verge)
    return outside - outer


def _opposite(
    rng: np.random.Generator,
    road: Layout,
    inner: float,
    width: float,
    paint: LinePaint,
    edge: str,
    verges: tuple[str, str],
) -> np.ndarray:
    """The median and the opposite carriageway, which is drivable only where no barrier separates it.

    verges: of the median and of the far side. Returns the outermost offset.
    """
    median, outermost = verges
    gap = {"grass": rng.uniform(6, 18), "rail": rng.uniform(2, 5), "wide": rng.uniform(25, 40)}.get(median, 0.7)
    far = inner + gap
    road.median = (median, inner + gap / 2)
    soil = Surface.DIRT if rng.random() < 0.5 else Surface.GRASS
    dip = -rng.uniform(0.1, 1.0) if median in ("grass", "wide") else 0.0
    if median in ("barrier", "wall"):
        road.band(road.asphalt, far, inner, drivable=0)
    else:
        road.band(soil, inner + gap / 2, inner, dip, -0.03, semantic=VEGETATION)
        road.band(soil, far, inner + gap / 2, -0.03, dip, semantic=VEGETATION)
    if median in ("wide", "wall") and rng.random() < 0.6:
        return road.row(far)
    m, a, b = int(rng.integers(1, 5)), rng.uniform(0.4, 2.0), rng.uniform(0.6, 3.0)
    beyond = 0 if median in BARRIERS else ALTERNATIVE
    road.band(road.asphalt, far + a + m * width, far, drivable=beyond)
    _shoulder(rng, road, far + a + m * width, far + a + m * width + b, outermost, beyond)
    road.line(far + a, "solid", edge, paint, scope="other")
    for i in range(1, m):
        road.line(far + a + i * width, "dashed", "white", paint, scope="other")
    road.line(far + a + m * width, "solid", "white", paint, scope="other")
    for i in range(m):
        road.lane(far + a + (i + 0.5) * width, width, -1)
    return road.row(far + a + m * width + b)


def rural(rng: np.random.Generator, s: np.ndarray) -> Layout:
    """An undivided country road, with or without lines."""
    road = Layout("highway", s)
    n, m, width = (
        int(rng.choice([1, 2], p=[0.85, 0.15])),
        int(rng.choice([1, 2], p=[0.85, 0.15])),
        rng.uniform(2.7, 3.7),
    )
    road.asphalt = Surface.CONCRETE if rng.random() < 0.08 else Surface.ASPHALT
    paint, strip = line_paint(rng), rng.uniform(0.15, 1.8)
    marked = rng.random()
    road.verge = _drawn(rng, RURAL_VERGES), _drawn(rng, RURAL_VERGES)
    undivided(rng, road, n, m, width, paint, center=marked < 0.9)
    for t, direction, verge in ((-n * width, OWN, road.verge[1]), (m * width, ALTERNATIVE, road.verge[0])):
        outside = t + np.sign(t) * strip
        _shoulder(rng, road, t, outside, verge, OWN if direction == OWN and strip <= 1 else ALTERNATIVE)
        if marked < 0.72:
            road.line(t, "solid", "white", paint)
        elif verge not in BARRIERS:  # the foot of a barrier is no line
            road.line(outside, "road_edge", "unknown")
    road.left, road.right = road.row(m * width + strip), road.row(-n * width - strip)
    road.paved = (m * width + strip, -n * width - strip)
    return road


def undivided(
    rng: np.random.Generator, road: Layout, n: int, m: int, width: float, paint: LinePaint, center: bool = True
) -> None:
    """Lanes, lines and asphalt of n lanes ahead and m oncoming ones."""
    if center and m:
        style, color = center_style(rng)
        road.line(0.0, style, color, paint)
    style = lane_style(rng)
    for i in range(1, n):
        road.line(-i * width, style, "white", paint)
    for i in range(1, m):
        road.line(i * width, style, "white", paint)
    for i in range(n):
        road.lane(-(i + 0.5) * width, width, 1)
    for i in range(m):
        road.lane((i + 0.5) * width, width, -1)
    road.band(road.asphalt, 0.0, -n * width, drivable=OWN)
    if m:
        road.band(road.asphalt, m * width, 0.0, drivable=ALTERNATIVE if center else OWN)


def tunnel(rng: np.random.Generator, s: np.ndarray) -> Layout:
    """A tunnel with walls, a vault and ceiling lamps, one-way or two-way."""
    road = Layout("tunnel", s)
    n, m = int(rng.choice([1, 2, 3], p=[0.2, 0.55, 0.25])), int(rng.random() < 0.35)
    width, paint = rng.uniform(3.2, 3.75), line_paint(rng)
    undivided(rng, road, n, m, width, paint)
    left, right = m * width, n * width
    if not m:
        road.line(0.0, "solid", str(rng.choice(["yellow", "white"])), paint)
    elif rng.random() < 0.8:
        road.line(left, "solid", "white", paint)
    if rng.random() < 0.8:
        road.line(-right, "solid", "white", paint)
    for sign, at in ((1, left), (-1, right)):
        a, high = at + rng.uniform(0.3, 0.8), rng.uniform(3.5, 5.0)
        road.band(road.asphalt, sign * at, sign * a)
        road.band(Surface.CURB, sign * a, sign * (a + 0.03), 0.0, 0.2, semantic=SIDEWALK)
        road.band(Surface.PAVING, sign * (a + 0.03), sign * (a + 0.9), 0.2, semantic=SIDEWALK)
        road.band(Surface.WALL, sign * (a + 0.9), sign * (a + 1.2), 0.2, high, semantic=BUILDING)
        road.band(Surface.WALL, sign * (a + 1.2), (left - right) / 2, high, 6.2, semantic=BUILDING)
        if sign > 0:
            road.left = road.row(a + 1.0)
        else:
            road.right = road.row(-a - 1.0)
    road.paved = (left + 0.5, -right - 0.5)
    road.verge = ("none", "none")
    return road
