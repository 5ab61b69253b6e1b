"""Where the car was: odometry poses remembered for a while, and the motion between two image stamps."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque

from camera_perception.core.types import EgoMotion

MAX_GAP_NS = 500_000_000  # no motion is made up across a longer silence of the odometry
FASTEST, CORRECTION = 100.0, 1.0  # m/s, and metres beside that: what is further is no drive but another origin


class Odometry:
    """Poses of base_link in any fixed frame, by stamp. A stamp that goes back, or a jump to elsewhere, starts anew."""

    def __init__(self, keep: int = 400) -> None:
        self._poses: deque[tuple[int, float, float, float]] = deque(maxlen=keep)

    def add(self, stamp_ns: int, x: float, y: float, yaw: float) -> None:
        """A pose: metres, radians. One that is not finite is left out."""
        if not math.isfinite(x + y + yaw):
            return
        if self._poses and (stamp_ns <= self._poses[-1][0] or self._leaps(stamp_ns, x, y)):
            self._poses.clear()
        self._poses.append((stamp_ns, x, y, yaw))

    def _leaps(self, stamp_ns: int, x: float, y: float) -> bool:
        """Whether no car gets from the last pose to this one: localisation began elsewhere."""
        last_ns, last_x, last_y, _ = self._poses[-1]
        return math.hypot(x - last_x, y - last_y) > CORRECTION + FASTEST * (stamp_ns - last_ns) / 1e9

    def between(self, from_ns: int, to_ns: int) -> EgoMotion | None:
        """The motion between two stamps; None when the odometry does not reach over both."""
        first, last = self._at(from_ns), self._at(to_ns)
        if first is None or last is None:
            return None
        dx, dy, heading = last[0] - first[0], last[1] - first[1], first[2]
        forward = math.cos(heading) * dx + math.sin(heading) * dy
        left = -math.sin(heading) * dx + math.cos(heading) * dy
        return EgoMotion(forward, left, wrapped(last[2] - heading))

    def _at(self, stamp_ns: int) -> tuple[float, float, float] | None:
        """The pose at a stamp: between two poses by proportion, shortly after the last as that one's continuation."""
        index = bisect_left(self._poses, stamp_ns, key=lambda pose: pose[0])
        if index == len(self._poses):
            index -= 1
        if index < 1:
            found = self._poses[0] if self._poses and self._poses[0][0] == stamp_ns else None
            return found[1:] if found else None
        before, after = self._poses[index - 1], self._poses[index]
        if after[0] - before[0] > MAX_GAP_NS or stamp_ns - after[0] > MAX_GAP_NS:
            return None
        share = (stamp_ns - before[0]) / (after[0] - before[0])
        x, y = (before[axis] + share * (after[axis] - before[axis]) for axis in (1, 2))
        return x, y, before[3] + share * wrapped(after[3] - before[3])


def wrapped(angle: float) -> float:
    """Radians in -pi .. pi."""
    return math.remainder(angle, math.tau)


def yaw_of(x: float, y: float, z: float, w: float) -> float:
    """Heading of a unit quaternion, radians to the left; nan for what is none, like the zeros of an unset message."""
    if not 0.9 < x * x + y * y + z * z + w * w < 1.1:
        return math.nan
    return math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
