"""The course of one line that several cameras see, at one time, weighed by how sure and how old each sighting is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from camera_perception.kalman import rotation
from camera_perception.lane_filter import DRIFT, DRIFT_KNOWN
from camera_perception.lane_fit import fit_cubic, padded, powers
from camera_perception.types import EgoMotion, GroundLine

TURN = 0.02  # radians, up to which a line keeps its shape: a centimetre at 50 m in a bend
LEAST = 0.02  # metres, no point is surer
AHEAD = 20.0  # metres, where courses that contradict each other are judged
SIGMAS = 3.0  # of both, beyond which two courses contradict each other
VEER = 0.05  # radians that a line may turn by where it is not seen
WANDER = np.diag(DRIFT), np.diag(DRIFT_KNOWN)  # variance of c0..c3 that a second adds; with the car's motion known


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
