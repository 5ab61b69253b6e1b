"""Fuse the lane lines of several cameras, and the ego lane between them.

Observations of one line are merged at one time, weighted by uncertainty and age.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from camera_perception import core
from camera_perception.core.types import EgoLane, EgoMotion, GroundLine, LaneLine
from camera_perception.fusion.objects import Motion
from camera_perception.fusion.types import CameraView
from camera_perception.geometry.kalman import rotation
from camera_perception.lanes.filter import PROCESS_NOISE, PROCESS_NOISE_WITH_ODOMETRY
from camera_perception.lanes.fit import PRIOR_DIAGONAL, fit_cubic, padded, powers
from camera_perception.lanes.roles import LANE_WIDTH, ego_lane, with_roles

MAX_TAYLOR_YAW = 0.02  # radians up to which a Taylor shift suffices: a centimetre at 50 m in a curve
PRIOR = np.array(PRIOR_DIAGONAL)
MIN_STD = 0.02  # metres, lower bound for points
COMPARISON_X = 20.0  # metres, where lines are compared
GATE_SIGMAS = 3.0  # combined, beyond which two lines are inconsistent
FARTHEST = 1000.0  # metres from the car: what a frame places further away is no line, and no cubic fits it
EXTRAPOLATION_STD = 0.05  # metres per metre of extrapolation
# Variance added to c0..c3 per second, without and with known ego motion.
PROCESS_NOISES = np.diag(PROCESS_NOISE), np.diag(PROCESS_NOISE_WITH_ODOMETRY)


class Geometry(NamedTuple):
    """A line of one camera, transformed to now.

    age       seconds since the image
    odometry  whether ego motion since then is compensated
    """

    ground: GroundLine
    age: float
    odometry: bool


def transformed(grounds: Sequence[GroundLine], motion: EgoMotion | None) -> Iterator[GroundLine]:
    """Lines in the frame of the car after a motion; unchanged when the motion is unknown."""
    if motion is None or not grounds:
        yield from grounds
        return
    moved = (np.concatenate([ground.points for ground in grounds]) - (motion.x, motion.y)) @ rotation(-motion.yaw).T
    rounded, end = moved.astype(np.float32), 0
    for ground in grounds:
        start, end = end, end + len(ground.points)
        if abs(motion.yaw) > MAX_TAYLOR_YAW:
            yield _fit([moved[start:end]], [ground.y_std])[0]
            continue
        poly = _taylor_shifted(ground.poly.astype(float), motion).astype(np.float32)
        yield GroundLine(rounded[start:end], ground.y_std, poly, float(moved[start, 0]), float(moved[end - 1, 0]))


def _taylor_shifted(poly: np.ndarray, motion: EgoMotion) -> np.ndarray:
    """The cubic after a motion with little yaw, by its Taylor series. A fit costs much more."""
    c0, c1, c2, c3 = poly.tolist()
    x = motion.x
    value, slope = c0 + x * (c1 + x * (c2 + x * c3)), c1 + x * (2 * c2 + x * 3 * c3)
    return np.array((value - motion.y, slope - motion.yaw, c2 + 3 * c3 * x, c3))


def merge_lines(lines: Sequence[Sequence[Geometry]]) -> list[GroundLine]:
    """Merge the observations of each line that are consistent with its most certain one; one fit for all lines."""
    if not lines:
        return []
    all_stds = iter(_propagated_stds([observed for line in lines for observed in line]))
    points, y_stds = [], []
    for line in lines:
        stds = [next(all_stds) for _ in line]
        kept = _consistent([observed.ground for observed in line], stds)
        points.append(np.concatenate([line[row].ground.points for row in kept]))
        y_stds.append(np.concatenate([stds[row] for row in kept]))
    return _fit(points, y_stds)


def _propagated_stds(geometries: Sequence[Geometry]) -> list[np.ndarray]:
    """(P,) standard deviation of y for the points of each observation, grown with its age."""
    counts = [len(each.ground.points) for each in geometries]
    x = np.concatenate([each.ground.points[:, 0] for each in geometries])
    y_std = np.concatenate([each.ground.y_std for each in geometries])
    noise = np.repeat([each.age * PROCESS_NOISES[each.odometry] for each in geometries], counts, axis=0)
    std = np.sqrt(np.square(y_std) + (np.square(powers(x)) * noise).sum(axis=1))
    return [std[end - count : end] for end, count in zip(accumulate(counts), counts)]


def _consistent(grounds: Sequence[GroundLine], y_stds: Sequence[np.ndarray]) -> list[int]:
    """Rows of lines consistent with the one most certain at COMPARISON_X when observed, including that one.

    Age does not count: cameras take turns in being the newest, and the line would jump between them.
    """
    best = min(range(len(grounds)), key=lambda row: _std_at(grounds[row], grounds[row].y_std, COMPARISON_X))
    lines = list(zip(grounds, y_stds))
    return [row for row, line in enumerate(lines) if row == best or not _inconsistent(line, lines[best])]


def _std_at(ground: GroundLine, y_std: np.ndarray, x: float) -> float:
    """Standard deviation of y at x; grows with extrapolation."""
    nearest = min(max(x, ground.x_min), ground.x_max)
    return float(np.interp(nearest, ground.points[:, 0], y_std)) + EXTRAPOLATION_STD * abs(x - nearest)


def _inconsistent(a: tuple[GroundLine, np.ndarray], b: tuple[GroundLine, np.ndarray]) -> bool:
    """Whether two lines differ by more than their uncertainty where they overlap."""
    start, end = max(a[0].x_min, b[0].x_min), min(a[0].x_max, b[0].x_max)
    if start > end:
        return False
    x = min(max(COMPARISON_X, start), end)
    c0, c1, c2, c3 = (a[0].poly - b[0].poly).tolist()
    difference = abs(c0 + x * (c1 + x * (c2 + x * c3)))
    return bool(difference > GATE_SIGMAS * math.hypot(_std_at(*a, x), _std_at(*b, x)))


def _fit(points: Sequence[np.ndarray], y_stds: Sequence[np.ndarray]) -> list[GroundLine]:
    """Fit points (P, 2) of each line with standard deviations (P,); all lines at once."""
    lengths = [len(line) for line in points]
    counts = np.array(lengths)
    rows = np.column_stack((np.concatenate(points), np.concatenate(y_stds))).astype(float, order="C")
    polys = np.empty((len(counts), 4), np.float32)
    if core.kernels is not None:
        core.kernels.fit_merged(rows, counts, MIN_STD, PRIOR, polys)
    else:
        rows = rows[np.lexsort((rows[:, 0], np.repeat(np.arange(len(counts)), counts)))]
        rows[:, 2] = np.maximum(rows[:, 2], MIN_STD)
        polys[:] = fit_cubic(*padded(rows, counts))[0]
    rounded = rows.astype(np.float32)
    parts = [rounded[end - length : end] for end, length in zip(accumulate(lengths), lengths)]
    return [GroundLine(p[:, :2], p[:, 2], poly, float(p[0, 0]), float(p[-1, 0])) for p, poly in zip(parts, polys)]


MAX_DISTANCE = 0.9  # metres
MAX_EGO_DISTANCE = LANE_WIDTH / 2  # metres, for lines on the same side of the ego lane in both cameras
MAX_GAP = 15.0  # metres between the ends of two parts of one line
KEEP_NS = 1_000_000_000
LANE_WIDTHS = 2.2, 5.0  # metres, range of plausible lanes
WIDTH_GAIN = 0.05  # weight of a new width


class Observation(NamedTuple):
    """A line detected by a camera, and its geometry now."""

    camera: int
    line: LaneLine
    geometry: Geometry


class LaneFuser:
    """Fuses the lines around the car; one per rig. lane_width is the smoothed width of the ego lane, metres."""

    def __init__(self) -> None:
        self._next_id = 1
        self._ids: dict[tuple[int, int], tuple[int, int]] = {}  # (camera, its lane id): (fused id, last stamp)
        self.lane_width = LANE_WIDTH

    def update(
        self, views: Mapping[int, CameraView], stamp_ns: int, motion: Motion | None = None
    ) -> tuple[LaneLine, ...]:
        """All lines at stamp_ns, left to right."""
        groups: list[list[Observation]] = []
        for observation in _observations(views, stamp_ns, motion):
            _add_to_group(groups, observation)
        self._ids = {key: value for key, value in self._ids.items() if 0 <= stamp_ns - value[1] <= KEEP_NS}
        lines = [
            replace(_best_line(group), lane_id=self._id(group, stamp_ns), ground=ground)
            for group, ground in zip(groups, _merged_ground(groups))
        ]
        return tuple(sorted(with_roles(lines, self.lane_width), key=_lateral_order))

    def ego_lane(self, lines: Sequence[LaneLine]) -> EgoLane | None:
        """The ego lane between lines returned by update."""
        lane = ego_lane(lines, self.lane_width)
        if lane is not None and LANE_WIDTHS[0] < lane.width < LANE_WIDTHS[1]:
            self.lane_width += WIDTH_GAIN * (lane.width - self.lane_width)
        return lane

    def _id(self, group: list[Observation], stamp_ns: int) -> int:
        keys = [(observation.camera, observation.line.lane_id) for observation in group]
        known = [self._ids[key][0] for key in keys if key in self._ids and key[1]]
        lane_id = min(known) if known else self._next_id
        self._next_id += not known
        self._ids.update(dict.fromkeys(keys, (lane_id, stamp_ns)))
        return lane_id


def _observations(views: Mapping[int, CameraView], stamp_ns: int, motion: Motion | None) -> Iterator[Observation]:
    """All valid lines of all cameras."""
    for camera, view in sorted(views.items()):
        motion_since = motion(view.stamp_ns, stamp_ns) if motion else None
        age = max(stamp_ns - view.stamp_ns, 0) / 1e9
        lines = _valid([line for line in view.lanes if line.ground is not None])
        grounds = transformed([line.ground for line in lines if line.ground is not None], motion_since)
        for line, ground in zip(lines, grounds):
            yield Observation(camera, line, Geometry(ground, age, motion_since is not None))


def _valid(lines: list[LaneLine]) -> list[LaneLine]:
    """The lines with several points on the road, none of them too far, and nothing but finite numbers."""
    grounds = [line.ground for line in lines if line.ground is not None]
    if not grounds:
        return []
    counts = [len(ground.points) for ground in grounds]
    points, y_std = np.concatenate([each.points for each in grounds]), np.concatenate([each.y_std for each in grounds])
    good_points = (np.abs(points) <= FARTHEST).all(axis=1) & np.isfinite(y_std)
    spoilt = np.bincount(np.repeat(np.arange(len(lines)), counts)[~good_points], minlength=len(lines))
    polys = np.isfinite([ground.poly for ground in grounds]).all(axis=1)
    kept = (polys & (spoilt == 0)).tolist()
    return [line for line, good, count in zip(lines, kept, counts) if good and count > 1]


def _lateral_order(line: LaneLine) -> float:
    return -float(line.ground.poly[0]) if line.ground is not None else 0.0


def _add_to_group(groups: list[list[Observation]], observation: Observation) -> None:
    for group in groups:
        if all(_same_line(observation, member) for member in group):
            group.append(observation)
            return
    groups.append([observation])


def _same_line(a: Observation, b: Observation) -> bool:
    both_ego = a.line.position == b.line.position and abs(a.line.position) == 1
    limit = MAX_EGO_DISTANCE if both_ego else MAX_DISTANCE
    return a.camera != b.camera and _mean_distance(a.geometry.ground, b.geometry.ground) < limit


def _mean_distance(a: GroundLine, b: GroundLine) -> float:
    """Mean distance in metres of two lines where they overlap, or halfway between their ends."""
    start, end = max(a.x_min, b.x_min), min(a.x_max, b.x_max)
    if start - end > MAX_GAP:
        return math.inf
    c0, c1, c2, c3 = (a.poly - b.poly).tolist()
    samples = [(start + end) / 2]
    if end > start:
        samples = [start + (end - start) * fraction for fraction in (0, 0.25, 0.5, 0.75, 1)]
    total = 0.0
    for x in samples:
        total += abs(c0 + x * (c1 + x * (c2 + x * c3)))
    return total / len(samples)


def _best_line(group: Sequence[Observation]) -> LaneLine:
    """The line whose type, colour and position are used."""
    return max((observation.line for observation in group), key=lambda line: line.score)


def _merged_ground(groups: Sequence[Sequence[Observation]]) -> Iterator[GroundLine]:
    """The ground line of each group."""
    several = iter(merge_lines([[member.geometry for member in group] for group in groups if len(group) > 1]))
    return (next(several) if len(group) > 1 else group[0].geometry.ground for group in groups)
