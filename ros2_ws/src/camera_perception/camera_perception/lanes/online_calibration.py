"""Check the camera's extrinsic calibration online with straight lane lines, without a target.

Each line spans a plane with the camera; the planes of both ego lane lines intersect in the direction of the road. In
base_link that direction must be level (pitch) and on average straight ahead (yaw). The angle between the planes gives
the lane width relative to the camera height, independent of pitch. Roll is not observable: it moves both planes like a
lateral offset in the lane.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from camera_perception import core
from camera_perception.core.types import LaneLine, Status
from camera_perception.geometry.camera import Camera
from camera_perception.lanes.roles import LANE_WIDTH


@dataclass(frozen=True, slots=True)
class CalibrationLimits:
    """Thresholds. Of each pair, the first reports drift, the second disables metric output."""

    pitch: tuple[float, float] = (np.radians(0.6), np.radians(1.5))
    yaw: tuple[float, float] = (np.radians(2.0), np.radians(5.0))
    width: tuple[float, float] = (1.3, 1.6)  # ratio of measured and expected lane width, or its inverse
    window: float = 30.0  # seconds of measurements to use
    min_frames: int = 40  # minimum number of straight frames
    min_seconds: float = 4.0
    max_bend: float = 0.002  # radians, maximum RMS distance of rays from the plane of a line


@dataclass(frozen=True, slots=True)
class CalibrationMeasurement:
    """Result of two straight lines, radians. pitch > 0: camera looks lower than calibrated, yaw > 0: further left."""

    pitch: float
    yaw: float
    width: float  # metres between the lines, with the calibrated height


@dataclass(frozen=True, slots=True)
class CalibrationEstimate:
    """CALIBRATION_DRIFT or no flag; whether metric output is allowed; median errors, nan without enough data."""

    flags: Status
    metric: bool
    pitch: float = float("nan")
    yaw: float = float("nan")
    width: float = float("nan")
    frames: int = 0


class OnlineCalibration:
    """Monitors the calibration of one camera. Time comes from stamps."""

    def __init__(self, limits: CalibrationLimits | None = None, lane_width: float = LANE_WIDTH) -> None:
        """lane_width  expected lane width in metres; deviations up to 30 % are tolerated."""
        self.limits, self.lane_width = limits or CalibrationLimits(), lane_width
        self.reset()

    def reset(self) -> None:
        """Discard all measurements, after a new calibration or a clock jump."""
        self._measurements: deque[tuple[int, CalibrationMeasurement]] = deque()
        self._camera: Camera | None = None
        self.measurement: CalibrationMeasurement | None = None  # of the last frame
        self.estimate = CalibrationEstimate(Status(0), True)

    def update(self, lanes: Sequence[LaneLine], camera: Camera, stamp_ns: int) -> CalibrationEstimate:
        """Update the estimate with one frame."""
        if self._camera is not camera or (self._measurements and stamp_ns < self._measurements[-1][0]):
            self.reset()
            self._camera = camera
        by_position = {line.position: line for line in lanes}
        left, right = by_position.get(-1), by_position.get(1)
        self.measurement = None
        if left is not None and right is not None:
            self.measurement = measure_calibration(left.points, right.points, camera, self.limits.max_bend)
        if self.measurement is not None:
            self._measurements.append((stamp_ns, self.measurement))
        while self._measurements and stamp_ns - self._measurements[0][0] > self.limits.window * 1e9:
            self._measurements.popleft()
        if self.measurement is not None and len(self._measurements) % 10 == 0:
            self.estimate = self._estimate()
        return self.estimate

    def _estimate(self) -> CalibrationEstimate:
        stamps = [stamp_ns for stamp_ns, _ in self._measurements]
        if len(stamps) < max(self.limits.min_frames, 2) or stamps[-1] - stamps[0] < self.limits.min_seconds * 1e9:
            return self.estimate
        pitch, yaw, width = np.median([(m.pitch, m.yaw, m.width) for _, m in self._measurements], axis=0)
        ratio = max(width / self.lane_width, self.lane_width / max(width, 1e-3))
        limits = (self.limits.pitch, self.limits.yaw, self.limits.width)
        drifted, unusable = (
            any(error > pair[level] for error, pair in zip((abs(pitch), abs(yaw), ratio), limits)) for level in (0, 1)
        )
        flags = Status.CALIBRATION_DRIFT if drifted else Status(0)
        return CalibrationEstimate(flags, not unusable, float(pitch), float(yaw), float(width), len(stamps))


def measure_calibration(
    left: np.ndarray, right: np.ndarray, camera: Camera, max_bend: float = 0.002
) -> CalibrationMeasurement | None:
    """Measure calibration errors with two lane lines (P, 2) in pixels; None unless both are long and straight."""
    if not (_is_long(left, camera) and _is_long(right, camera)):
        return None
    normals = _line_planes(left, right, camera, max_bend)
    if normals is None:
        return None
    a, b = (normals @ camera.pose[:3, :3].T).tolist()
    x, y, z = _cross(a, b)
    length = math.copysign(math.hypot(x, y, z), x)  # points ahead, whatever the orientation of the planes
    if abs(length) < 0.05:
        return None
    along = x, y, z = x / length, y / length, z / length
    side = -y, x, 0.0
    tilts = [_dot(normal, side) for normal in (a, b)]
    if 0.0 in tilts:  # a plane parallel to the road, or vertical lines
        return None
    left_y, right_y = (_dot(normal, _cross(along, side)) / tilt for normal, tilt in zip((a, b), tilts))
    width = float(camera.pose[2, 3]) * (left_y - right_y)
    return CalibrationMeasurement(math.atan2(z, math.hypot(x, y)), -math.atan2(y, x), width)


def _is_long(points: np.ndarray, camera: Camera) -> bool:
    return len(points) >= 8 and bool(points[:, 1].max() - points[:, 1].min() > 0.1 * camera.height)


def _line_planes(left: np.ndarray, right: np.ndarray, camera: Camera, max_bend: float) -> np.ndarray | None:
    """(2, 3) normals of the planes spanned by the camera and each line (P, 2); None when a line is curved or outside
    the lens.
    """
    if core.kernels is None:
        return _planes_of_rays(camera.rays_from_pixels(np.concatenate((left, right))), len(left), max_bend)
    rays = camera.rays_from_pixels(np.concatenate((left, right))) if camera.has_distortion else None
    normals, k = np.empty((2, 3)), camera.pixel_from_camera
    lens = np.array((k[0, 0], k[1, 1], k[0, 2], k[1, 2]))
    lines = (np.ascontiguousarray(line, np.float32) for line in (left, right))
    return normals if core.kernels.line_planes(*lines, rays, lens, normals) < max_bend**2 else None


def _planes_of_rays(rays: np.ndarray, first: int, max_bend: float) -> np.ndarray | None:
    """The same of rays (N, 3), of which the first `first` belong to the first line."""
    rays = rays / np.sqrt(np.einsum("ij,ij->i", rays, rays))[:, None]
    scatter = np.array([line.T @ line / len(line) for line in (rays[:first], rays[first:])])
    if not np.isfinite(scatter).all():
        return None
    spread, axes = np.linalg.eigh(scatter)  # smallest first: mean squared distance of rays from the plane
    return axes[:, :, 0] if spread[:, 0].max() < max_bend**2 else None


Vector = Sequence[float]


def _cross(a: Vector, b: Vector) -> tuple[float, float, float]:
    """Cross product in plain Python: numpy takes fifty times as long."""
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def _dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
