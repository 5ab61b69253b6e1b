"""Does the camera still look where its calibration says? Straight lane lines tell, without any target.

Each line and the camera span a plane; the planes of both lines of the own lane meet in the direction of the road. Seen
in base_link that direction must be level (pitch) and on average straight ahead (yaw); the angle between the planes is
the lane's width over the camera's height, whatever the pitch. Roll is not told: it moves both planes alike, as driving
off the middle of the lane does.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from camera_perception.core.types import LaneLine, Status
from camera_perception.geometry.camera import Camera
from camera_perception.lanes.roles import LANE_WIDTH


@dataclass(frozen=True, slots=True)
class DoctorLimits:
    """From where on a calibration has drifted, and from where on it gives no metres any more."""

    pitch: tuple[float, float] = (np.radians(0.6), np.radians(1.5))
    yaw: tuple[float, float] = (np.radians(2.0), np.radians(5.0))
    width: tuple[float, float] = (1.3, 1.6)  # measured over usual lane width, or the other way round
    window: float = 30.0  # seconds that are looked back
    least: int = 40  # straight frames before anything is said
    least_seconds: float = 4.0
    bend: float = 0.002  # radians, root mean square by which points of a straight line leave its plane


@dataclass(frozen=True, slots=True)
class Sighting:
    """What two straight lines say; pitch > 0: the camera looks further down than calibrated, yaw > 0: further left."""

    pitch: float
    yaw: float
    width: float  # metres between the lines, with the calibrated height


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """flags: CALIBRATION_DRIFT or none; metric: whether metres may still be given; the rest is the median, or nan."""

    flags: Status
    metric: bool
    pitch: float = float("nan")
    yaw: float = float("nan")
    width: float = float("nan")
    frames: int = 0


class CalibrationDoctor:
    """Watches one camera. Time comes from stamps."""

    def __init__(self, limits: DoctorLimits | None = None, lane_width: float = LANE_WIDTH) -> None:
        """lane_width in metres: what is usual on the roads driven; off by 30 % is no reason to doubt."""
        self.limits, self.lane_width = limits or DoctorLimits(), lane_width
        self.reset()

    def reset(self) -> None:
        """Forget what was seen: after a new calibration or a jump of the clock."""
        self._seen: deque[tuple[int, Sighting]] = deque()
        self._camera: Camera | None = None
        self.sighting: Sighting | None = None  # of the last frame
        self.diagnosis = Diagnosis(Status(0), True)

    def update(self, lanes: Sequence[LaneLine], camera: Camera, stamp_ns: int) -> Diagnosis:
        """Judge the calibration after one more frame."""
        if self._camera is not camera or (self._seen and stamp_ns < self._seen[-1][0]):
            self.reset()
            self._camera = camera
        own = {line.position: line for line in lanes}
        sighting = self.sighting = (
            sight(own[-1].points, own[1].points, camera, self.limits.bend) if {-1, 1} <= own.keys() else None
        )
        if sighting is not None:
            self._seen.append((stamp_ns, sighting))
        while self._seen and stamp_ns - self._seen[0][0] > self.limits.window * 1e9:
            self._seen.popleft()
        if sighting is not None and len(self._seen) % 10 == 0:
            self.diagnosis = self._judge()
        return self.diagnosis

    def _judge(self) -> Diagnosis:
        long = len(self._seen) > 1 and self._seen[-1][0] - self._seen[0][0] >= self.limits.least_seconds * 1e9
        if len(self._seen) < self.limits.least or not long:
            return self.diagnosis
        pitch, yaw, width = np.median([(s.pitch, s.yaw, s.width) for _, s in self._seen], axis=0)
        ratio = max(width / self.lane_width, self.lane_width / max(width, 1e-3))
        worst = [
            sum(off > limit for limit in limits)
            for off, limits in (
                (abs(pitch), self.limits.pitch),
                (abs(yaw), self.limits.yaw),
                (ratio, self.limits.width),
            )
        ]
        flags = Status.CALIBRATION_DRIFT if max(worst) else Status(0)
        return Diagnosis(flags, max(worst) < 2, float(pitch), float(yaw), float(width), len(self._seen))


def sight(left: np.ndarray, right: np.ndarray, camera: Camera, bend: float = 0.002) -> Sighting | None:
    """What two lane lines (P, 2) in pixels say about the camera; None unless both are long and straight."""
    if not (_long(left, camera) and _long(right, camera)):
        return None
    rays = camera.rays_from_pixels(np.concatenate((left, right)))
    normals = _planes(rays, len(left), bend)
    if normals is None:
        return None
    a, b = (normals @ camera.pose[:3, :3].T).tolist()
    x, y, z = _cross(a, b)
    length = math.copysign(math.hypot(x, y, z), x)  # ahead, whichever way the planes were turned
    if abs(length) < 0.05:
        return None
    along = x, y, z = x / length, y / length, z / length
    side = -y, x, 0.0
    leans = [_dot(normal, side) for normal in (a, b)]
    if 0.0 in leans:  # a plane that never meets the road, or lines straight up
        return None
    left_y, right_y = (_dot(normal, _cross(along, side)) / lean for normal, lean in zip((a, b), leans))
    width = float(camera.pose[2, 3]) * (left_y - right_y)
    return Sighting(math.atan2(z, math.hypot(x, y)), -math.atan2(y, x), width)


def _long(points: np.ndarray, camera: Camera) -> bool:
    return len(points) >= 8 and bool(points[:, 1].max() - points[:, 1].min() > 0.1 * camera.height)


def _planes(rays: np.ndarray, first: int, bend: float) -> np.ndarray | None:
    """(2, 3) normals of the planes that the camera and each line lie in; None when a line bends or leaves the lens.

    rays  (N, 3) of both lines, the `first` ones of the first
    """
    rays = rays / np.sqrt(np.einsum("ij,ij->i", rays, rays))[:, None]
    scatter = np.array([line.T @ line / len(line) for line in (rays[:first], rays[first:])])
    if not np.isfinite(scatter).all():
        return None
    spread, axes = np.linalg.eigh(scatter)  # the least spread first: mean square by which rays leave the plane
    return axes[:, :, 0] if spread[:, 0].max() < bend**2 else None


Triple = Sequence[float]


def _cross(a: Triple, b: Triple) -> tuple[float, float, float]:
    """Of three numbers each: numpy takes fifty times as long."""
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def _dot(a: Triple, b: Triple) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
