"""Lane lines of several cameras as one set: what two cameras see of one line becomes one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from camera_perception.fuse import Motion
from camera_perception.fused_types import CameraView
from camera_perception.kalman import rotation
from camera_perception.lane_fit import fit_cubic, padded
from camera_perception.lane_roles import with_roles
from camera_perception.types import EgoMotion, GroundLine, LaneLine

SAME = 0.9  # metres
GAP = 15.0  # metres between the ends of two pieces of one line
TURN = 0.02  # radians, up to which a line keeps its shape: a centimetre at 50 m in a bend
KEEP_NS = 1_000_000_000


class LaneFuser:
    """The lines around the car. One per rig."""

    def __init__(self) -> None:
        self._next_id = 1
        self._ids: dict[tuple[int, int], tuple[int, int]] = {}  # (camera, its lane id): (our id, when)

    def update(
        self, views: Mapping[int, CameraView], stamp_ns: int, motion: Motion | None = None
    ) -> tuple[LaneLine, ...]:
        """All lines at stamp_ns, left to right."""
        groups: list[list[tuple[int, LaneLine]]] = []
        for camera, view in sorted(views.items()):
            moved = motion(view.stamp_ns, stamp_ns) if motion else None
            for line in view.lanes:
                if line.ground is not None and _sound(line.ground):
                    _sort_in(groups, camera, replace(line, ground=_moved(line.ground, moved)))
        self._ids = {key: value for key, value in self._ids.items() if 0 <= stamp_ns - value[1] <= KEEP_NS}
        joined = _joined([[line for _, line in group] for group in groups])
        lines = [replace(line, lane_id=self._id(group, stamp_ns)) for line, group in zip(joined, groups)]
        return tuple(sorted(with_roles(lines), key=_leftness))

    def _id(self, group: list[tuple[int, LaneLine]], stamp_ns: int) -> int:
        keys = [(camera, line.lane_id) for camera, line in group]
        known = [self._ids[key][0] for key in keys if key in self._ids and key[1]]
        number = min(known) if known else self._next_id
        self._next_id += not known
        self._ids.update(dict.fromkeys(keys, (number, stamp_ns)))
        return number


def _sound(ground: GroundLine) -> bool:
    numbers = (ground.points, ground.y_std, ground.poly)
    return len(ground.points) > 1 and all(bool(np.isfinite(each).all()) for each in numbers)


def _leftness(line: LaneLine) -> float:
    return -float(line.ground.poly[0]) if line.ground is not None else 0.0


def _sort_in(groups: list[list[tuple[int, LaneLine]]], camera: int, line: LaneLine) -> None:
    for group in groups:
        if all(other != camera and _apart(line, known) < SAME for other, known in group):
            group.append((camera, line))
            return
    groups.append([(camera, line)])


def _apart(a: LaneLine, b: LaneLine) -> float:
    """Metres between two lines where both run, or halfway between their ends."""
    if a.ground is None or b.ground is None:
        return float("inf")
    start, end = max(a.ground.x_min, b.ground.x_min), min(a.ground.x_max, b.ground.x_max)
    if start - end > GAP:
        return float("inf")
    c0, c1, c2, c3 = (a.ground.poly - b.ground.poly).tolist()
    places = (
        [start + (end - start) * share for share in (0, 0.25, 0.5, 0.75, 1)] if end > start else [(start + end) / 2]
    )
    return sum(abs(c0 + x * (c1 + x * (c2 + x * c3))) for x in places) / len(places)


def _moved(ground: GroundLine, motion: EgoMotion | None) -> GroundLine:
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


def _fitted(points: Sequence[np.ndarray], y_stds: Sequence[np.ndarray]) -> list[GroundLine]:
    """Courses through points (P, 2) of each line, with their doubts (P,); all lines in one fit."""
    counts = np.array([len(line) for line in points])
    every = np.column_stack((np.concatenate(points), np.concatenate(y_stds))).astype(float)
    every = every[np.lexsort((every[:, 0], np.repeat(np.arange(len(counts)), counts)))]
    every[:, 2] = np.maximum(every[:, 2], 0.02)
    polys = fit_cubic(*padded(every, counts))[0].astype(np.float32)
    parts = np.split(every.astype(np.float32), np.cumsum(counts)[:-1])
    return [GroundLine(p[:, :2], p[:, 2], poly, float(p[0, 0]), float(p[-1, 0])) for p, poly in zip(parts, polys)]


def _joined(groups: Sequence[Sequence[LaneLine]]) -> list[LaneLine]:
    """Each group as one line through the points of all; kind, colour and role are those of the surest."""
    lines = [max(group, key=lambda line: line.score) for group in groups]
    several = [number for number, group in enumerate(groups) if len(group) > 1]
    if several:
        courses = [[line.ground for line in groups[number] if line.ground is not None] for number in several]
        points = [np.concatenate([course.points for course in each]) for each in courses]
        doubts = [np.concatenate([course.y_std for course in each]) for each in courses]
        for number, ground in zip(several, _fitted(points, doubts)):
            lines[number] = replace(lines[number], ground=ground)
    return lines
