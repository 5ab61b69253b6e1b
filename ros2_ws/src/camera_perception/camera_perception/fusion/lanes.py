"""Lane lines of several cameras as one set, and the own lane between them: what two cameras see of one line is one.

The course of one line that several cameras see, at one time, weighed by how sure and how old each sighting is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from camera_perception.core.types import EgoLane, EgoMotion, GroundLine, LaneLine
from camera_perception.fusion.objects import Motion
from camera_perception.fusion.types import CameraView
from camera_perception.geometry.kalman import rotation
from camera_perception.lanes.filter import PROCESS_NOISE, PROCESS_NOISE_WITH_ODOMETRY
from camera_perception.lanes.fit import fit_cubic, padded, powers
from camera_perception.lanes.roles import LANE_WIDTH, ego_lane, with_roles

TURN = 0.02  # radians, up to which a line keeps its shape: a centimetre at 50 m in a bend
LEAST = 0.02  # metres, no point is surer
AHEAD = 20.0  # metres, where courses that contradict each other are judged
SIGMAS = 3.0  # of both, beyond which two courses contradict each other
VEER = 0.05  # radians that a line may turn by where it is not seen
WANDER = (
    np.diag(PROCESS_NOISE),
    np.diag(PROCESS_NOISE_WITH_ODOMETRY),
)  # variance of c0..c3 that a second adds; with the car's motion known


class Sighting(NamedTuple):
    """A line's course as one camera saw it, already where it is now.

    age    seconds since it was seen
    known  whether the car's motion since then is
    """

    course: GroundLine
    age: float
    known: bool


def moved(ground: GroundLine, motion: EgoMotion | None) -> GroundLine:
    """A course from where the car is after a motion; as it was where that is not known."""
    if motion is None:
        return ground
    points = (ground.points - (motion.x, motion.y)) @ rotation(-motion.yaw).T
    if abs(motion.yaw) > TURN:
        return _fitted([points], [ground.y_std])[0]
    poly = _shifted(ground.poly.astype(float), motion)
    ends = float(points[0, 0]), float(points[-1, 0])
    return GroundLine(points.astype(np.float32), ground.y_std, poly.astype(np.float32), *ends)


def _shifted(poly: np.ndarray, motion: EgoMotion) -> np.ndarray:
    """The cubic after a motion that hardly turns: its Taylor series there, less the turn. A fit costs much more."""
    c0, c1, c2, c3 = poly.tolist()
    x = motion.x
    value, slope = c0 + x * (c1 + x * (c2 + x * c3)), c1 + x * (2 * c2 + x * 3 * c3)
    return np.array((value - motion.y, slope - motion.yaw, c2 + 3 * c3 * x, c3))


def joined(lines: Sequence[Sequence[Sighting]]) -> list[GroundLine]:
    """One course for each line, through the points of all its sightings that agree with the surest; for any number."""
    if not lines:
        return []
    doubts = iter(_doubts([seen for line in lines for seen in line]))
    points, y_stds = [], []
    for line in lines:
        stds = [next(doubts) for _ in line]
        kept = _agreeing([seen.course for seen in line], stds)
        points.append(np.concatenate([line[row].course.points for row in kept]))
        y_stds.append(np.concatenate([stds[row] for row in kept]))
    return _fitted(points, y_stds)


def _doubts(sightings: Sequence[Sighting]) -> list[np.ndarray]:
    """(P,) standard deviation of y of the points of each sighting by now: lines wander while nobody looks."""
    counts = [len(seen.course.points) for seen in sightings]
    x = np.concatenate([seen.course.points[:, 0] for seen in sightings])
    y_std = np.concatenate([seen.course.y_std for seen in sightings])
    wander = np.repeat([seen.age * WANDER[seen.known] for seen in sightings], counts, axis=0)
    grown = np.sqrt(np.square(y_std) + (np.square(powers(x)) * wander).sum(axis=1))
    return np.split(grown, np.cumsum(counts)[:-1])


def _agreeing(courses: Sequence[GroundLine], y_stds: Sequence[np.ndarray]) -> list[int]:
    """Which of the courses do not contradict the one that was surest ahead when it was seen; it is one of them.

    Ages do not decide: cameras take turns in being the newest, and the line would jump from one to the other.
    """
    best = min(range(len(courses)), key=lambda row: _doubt(courses[row], courses[row].y_std, AHEAD))
    surest = courses[best], y_stds[best]
    return [row for row in range(len(courses)) if row == best or not _contradict((courses[row], y_stds[row]), surest)]


def _doubt(course: GroundLine, y_std: np.ndarray, x: float) -> float:
    """Standard deviation of y at x; it grows where the course is not seen."""
    nearest = min(max(x, course.x_min), course.x_max)
    return float(np.interp(nearest, course.points[:, 0], y_std)) + VEER * abs(x - nearest)


def _contradict(a: tuple[GroundLine, np.ndarray], b: tuple[GroundLine, np.ndarray]) -> bool:
    """Whether two courses are further apart than both doubt; only where both are seen."""
    start, end = max(a[0].x_min, b[0].x_min), min(a[0].x_max, b[0].x_max)
    if start > end:
        return False
    x = min(max(AHEAD, start), end)
    c0, c1, c2, c3 = (a[0].poly - b[0].poly).tolist()
    return abs(c0 + x * (c1 + x * (c2 + x * c3))) > SIGMAS * math.hypot(_doubt(*a, x), _doubt(*b, x))


def _fitted(points: Sequence[np.ndarray], y_stds: Sequence[np.ndarray]) -> list[GroundLine]:
    """Courses through points (P, 2) of each line, with their doubts (P,); all lines in one fit."""
    counts = np.array([len(line) for line in points])
    every = np.column_stack((np.concatenate(points), np.concatenate(y_stds))).astype(float)
    every = every[np.lexsort((every[:, 0], np.repeat(np.arange(len(counts)), counts)))]
    every[:, 2] = np.maximum(every[:, 2], LEAST)
    polys = fit_cubic(*padded(every, counts))[0].astype(np.float32)
    parts = np.split(every.astype(np.float32), np.cumsum(counts)[:-1])
    return [GroundLine(p[:, :2], p[:, 2], poly, float(p[0, 0]), float(p[-1, 0])) for p, poly in zip(parts, polys)]


SAME = 0.9  # metres
SAME_OWN = LANE_WIDTH / 2  # metres, of lines that both cameras take for the same side of the own lane
GAP = 15.0  # metres between the ends of two pieces of one line
KEEP_NS = 1_000_000_000
WIDTHS = 2.2, 5.0  # metres, of lanes that are believed
CALM = 0.05  # share of a new width


class Observations(NamedTuple):
    """A line that a camera sees, and its course by now."""

    camera: int
    line: LaneLine
    sighting: Sighting


class LaneFuser:
    """The lines around the car. One per rig. usual_width is that of the own lane in metres, as seen lately."""

    def __init__(self) -> None:
        self._next_id = 1
        self._ids: dict[tuple[int, int], tuple[int, int]] = {}  # (camera, its lane id): (our id, when)
        self.lane_width = LANE_WIDTH

    def update(
        self, views: Mapping[int, CameraView], stamp_ns: int, motion: Motion | None = None
    ) -> tuple[LaneLine, ...]:
        """All lines at stamp_ns, left to right."""
        groups: list[list[Observations]] = []
        for seen in _lines(views, stamp_ns, motion):
            _sort_in(groups, seen)
        self._ids = {key: value for key, value in self._ids.items() if 0 <= stamp_ns - value[1] <= KEEP_NS}
        lines = [
            replace(_surest(group), lane_id=self._id(group, stamp_ns), ground=course)
            for group, course in zip(groups, _courses(groups))
        ]
        return tuple(sorted(with_roles(lines, self.lane_width), key=_leftness))

    def own_lane(self, lines: Sequence[LaneLine]) -> EgoLane | None:
        """The lane that the car drives in, between lines of update."""
        lane = ego_lane(lines, self.lane_width)
        if lane is not None and WIDTHS[0] < lane.width < WIDTHS[1]:
            self.lane_width += CALM * (lane.width - self.lane_width)
        return lane

    def _id(self, group: list[Observations], stamp_ns: int) -> int:
        keys = [(seen.camera, seen.line.lane_id) for seen in group]
        known = [self._ids[key][0] for key in keys if key in self._ids and key[1]]
        number = min(known) if known else self._next_id
        self._next_id += not known
        self._ids.update(dict.fromkeys(keys, (number, stamp_ns)))
        return number


def _lines(views: Mapping[int, CameraView], stamp_ns: int, motion: Motion | None) -> Iterator[Observations]:
    """Every sound line of every camera."""
    for camera, view in sorted(views.items()):
        way = motion(view.stamp_ns, stamp_ns) if motion else None
        age = max(stamp_ns - view.stamp_ns, 0) / 1e9
        for line in view.lanes:
            if line.ground is not None and _sound(line.ground):
                yield Observations(camera, line, Sighting(moved(line.ground, way), age, way is not None))


def _sound(ground: GroundLine) -> bool:
    numbers = (ground.points, ground.y_std, ground.poly)
    return len(ground.points) > 1 and all(bool(np.isfinite(each).all()) for each in numbers)


def _leftness(line: LaneLine) -> float:
    return -float(line.ground.poly[0]) if line.ground is not None else 0.0


def _sort_in(groups: list[list[Observations]], seen: Observations) -> None:
    for group in groups:
        if all(_one_line(seen, known) for known in group):
            group.append(seen)
            return
    groups.append([seen])


def _one_line(a: Observations, b: Observations) -> bool:
    own = a.line.position == b.line.position and abs(a.line.position) == 1
    return a.camera != b.camera and _apart(a.sighting.course, b.sighting.course) < (SAME_OWN if own else SAME)


def _apart(a: GroundLine, b: GroundLine) -> float:
    """Metres between two lines where both run, or halfway between their ends."""
    start, end = max(a.x_min, b.x_min), min(a.x_max, b.x_max)
    if start - end > GAP:
        return math.inf
    c0, c1, c2, c3 = (a.poly - b.poly).tolist()
    places = (
        [start + (end - start) * share for share in (0, 0.25, 0.5, 0.75, 1)] if end > start else [(start + end) / 2]
    )
    return sum(abs(c0 + x * (c1 + x * (c2 + x * c3))) for x in places) / len(places)


def _surest(group: Sequence[Observations]) -> LaneLine:
    """Whose kind, colour and role are believed."""
    return max((seen.line for seen in group), key=lambda line: line.score)


def _courses(groups: Sequence[Sequence[Observations]]) -> Iterator[GroundLine]:
    """The course of each group."""
    several = iter(joined([[seen.sighting for seen in group] for group in groups if len(group) > 1]))
    return (next(several) if len(group) > 1 else group[0].sighting.course for group in groups)
