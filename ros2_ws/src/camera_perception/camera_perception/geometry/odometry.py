"""Odometry buffer: ego motion between two image stamps."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from operator import itemgetter

from camera_perception.core.types import EgoMotion

STAMP = itemgetter(0)
MAX_GAP_NS = 500_000_000  # longer gaps between poses are not interpolated
MAX_SPEED, MAX_CORRECTION = 100.0, 1.0  # m/s, and extra metres; a larger step is a change of origin


class Odometry:
    """Poses of base_link in any fixed frame, by stamp. Cleared when stamps go backwards or the position jumps."""

    def __init__(self, keep: int = 400) -> None:
        self._poses: deque[tuple[int, float, float, float]] = deque(maxlen=keep)

    def add(self, stamp_ns: int, x: float, y: float, yaw: float) -> None:
        """Append a pose in metres and radians; poses that are not finite are ignored."""
        if not math.isfinite(x + y + yaw):
            return
        if self._poses and (stamp_ns <= self._poses[-1][0] or self._jumps(stamp_ns, x, y)):
            self._poses.clear()
        self._poses.append((stamp_ns, x, y, yaw))

    def _jumps(self, stamp_ns: int, x: float, y: float) -> bool:
        """Whether no car can move from the last pose to this one: localisation restarted at another origin."""
        last_ns, last_x, last_y, _ = self._poses[-1]
        return math.hypot(x - last_x, y - last_y) > MAX_CORRECTION + MAX_SPEED * (stamp_ns - last_ns) / 1e9

    def between(self, from_ns: int, to_ns: int) -> EgoMotion | None:
        """The motion between two stamps; None when the odometry does not cover both."""
        first, last = self._at(from_ns), self._at(to_ns)
        if first is None or last is None:
            return None
        dx, dy, heading = last[0] - first[0], last[1] - first[1], first[2]
        forward = math.cos(heading) * dx + math.sin(heading) * dy
        left = -math.sin(heading) * dx + math.cos(heading) * dy
        return EgoMotion(forward, left, wrap_angle(last[2] - heading))

    def _at(self, stamp_ns: int) -> tuple[float, float, float] | None:
        """The pose at a stamp, interpolated between two poses or extrapolated shortly after the last."""
        index = bisect_left(self._poses, stamp_ns, key=STAMP)
        if index == len(self._poses):
            index -= 1
        if index < 1:
            found = self._poses[0] if self._poses and self._poses[0][0] == stamp_ns else None
            return found[1:] if found else None
        before, after = self._poses[index - 1], self._poses[index]
        if after[0] - before[0] > MAX_GAP_NS or stamp_ns - after[0] > MAX_GAP_NS:
            return None
        fraction = (stamp_ns - before[0]) / (after[0] - before[0])
        x, y = (before[axis] + fraction * (after[axis] - before[axis]) for axis in (1, 2))
        return x, y, before[3] + fraction * wrap_angle(after[3] - before[3])


def wrap_angle(angle: float) -> float:
    """Wrap an angle to -pi .. pi radians."""
    return math.remainder(angle, math.tau)


def yaw_from_quaternion(x: float, y: float, z: float, w: float) -> float:
    """Yaw of a unit quaternion, radians, positive left; nan for others, such as the zeros of an unset message."""
    if not 0.9 < x * x + y * y + z * z + w * w < 1.1:
        return math.nan
    return math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
