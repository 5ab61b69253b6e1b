"""Camera model: convert between image pixels, viewing rays and the road plane.

Pixel (0, 0) is the top-left corner of the top-left pixel, as everywhere in this library. OpenCV and CameraInfo count
from the centre of that pixel: `from_camera_info` shifts the principal point by half a pixel, 2 % of range at 60 m.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import cv2
import numpy as np

from camera_perception.core.errors import CalibrationError

PLUMB_BOB, RATIONAL, FISHEYE = "plumb_bob", "rational_polynomial", "equidistant"
# Other names that drivers and calibration tools write.
MODEL_NAMES = {
    **dict.fromkeys(("fisheye", "kannala_brandt", "kannala_brandt4"), FISHEYE),
    **dict.fromkeys(("none", "", "plumb-bob", "radtan", "brown_conrady"), PLUMB_BOB),
}
COEFFICIENTS = {PLUMB_BOB: (0, 4, 5), RATIONAL: (0, 8, 12, 14), FISHEYE: (0, 4)}  # allowed counts
IDENTITY, ORIGIN = np.eye(3), np.zeros(3)
# Of the iterative inversion of the distortion.
UNDISTORT_CRITERIA = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 40, 1e-6)
# OpenCV 4.5.4 (Ubuntu 22.04) has no such argument: ten steps there, and a ray that has not converged becomes nan.
_HAS_CRITERIA = "criteria" in (cv2.fisheye.undistortPoints.__doc__ or "")
FISHEYE_OPTIONS: dict[str, Any] = {"criteria": UNDISTORT_CRITERIA} if _HAS_CRITERIA else {}
MAX_REPROJECTION_ERROR = 0.5  # pixels; a larger error means that the pixel lies outside the distortion model
# Columns of OpenCV's projection Jacobians for a translation in x and y.
TRANSLATION_COLUMNS = {PLUMB_BOB: slice(3, 5), RATIONAL: slice(3, 5), FISHEYE: slice(11, 13)}
COFACTORS = np.array([[1.0, -1.0], [-1.0, 1.0]])  # signs
MIN_DESCENT = 1e-6  # downward part of a unit ray below which it never meets the road


@dataclass(frozen=True, slots=True)
class Camera:
    """A calibrated camera.

    width, height    pixels of the image that K belongs to
    pixel_from_camera (3, 3) K in our pixel convention; camera frame: x right, y down, z forward (REP 103 optical frame)
    distortion       (D,) coefficients in OpenCV's order; empty or all zero for rectified images
    model            plumb_bob, rational_polynomial or equidistant
    base_from_camera (4, 4) pose of the camera on the car; None when unknown, without metric output
    has_distortion   whether images are distorted; false for rectified ones
    """

    width: int
    height: int
    pixel_from_camera: np.ndarray
    distortion: np.ndarray
    model: str = PLUMB_BOB
    base_from_camera: np.ndarray | None = None
    has_distortion: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_intrinsics(self)
        _check_pose(self.base_from_camera)
        for name in ("pixel_from_camera", "base_from_camera"):  # compiled functions read them
            if (matrix := getattr(self, name)) is not None:
                object.__setattr__(self, name, np.ascontiguousarray(matrix, float))
        object.__setattr__(self, "has_distortion", self.model == FISHEYE or bool(np.any(self.distortion)))

    @staticmethod
    def from_camera_info(
        width: int,
        height: int,
        k: Sequence[float],
        d: Sequence[float] = (),
        model: str = PLUMB_BOB,
        *,
        r: Sequence[float] = (),
        p: Sequence[float] = (),
        binning: tuple[int, int] = (0, 0),
        roi: tuple[int, int, int, int] = (0, 0, 0, 0),
        rectified: bool = False,
        base_from_camera: np.ndarray | None = None,
    ) -> Camera:
        """The camera of a sensor_msgs/CameraInfo; raises CalibrationError when it holds no calibration.

        binning          x y; 0 and 1 both mean none
        roi              x_offset y_offset width height in unbinned pixels, all zero for the whole sensor
        rectified        the images are image_rect, described by P instead of K, D and R
        base_from_camera (4, 4) pose of the frame that header.frame_id names
        """
        matrix = (
            np.array(p, float).reshape(3, 4)[:, :3] if rectified and len(p) == 12 else np.array(k, float).reshape(3, 3)
        )
        size = roi[2:] if all(roi[2:]) else (width, height)
        binned = np.maximum(binning, 1)
        matrix = matrix.copy()
        matrix[:2, 2] += np.subtract(0.5, roi[:2])
        matrix[:2] /= binned[:, None]
        pose = base_from_camera if rectified else _unrectified_pose(base_from_camera, r)
        distortion = np.zeros(0) if rectified or model.lower() == "none" else np.array(d, float)
        model = MODEL_NAMES.get(model.lower(), model.lower())
        width, height = (int(pixels // factor) for pixels, factor in zip(size, binned))
        return Camera(width, height, matrix, distortion, model, pose)

    @property
    def metric(self) -> bool:
        """Whether the pose is known, so that pixels can be converted to metres."""
        return self.base_from_camera is not None

    @property
    def pose(self) -> np.ndarray:
        """base_from_camera; raises CalibrationError when unknown."""
        if self.base_from_camera is None:
            raise CalibrationError("no camera pose: provide base_link -> camera by TF or in the rig file")
        return self.base_from_camera

    def pitched(self, angle: float) -> Camera:
        """The same camera pitched down by `angle` radians about the car's lateral axis."""
        pose = self.pose.copy()
        c, s = math.cos(angle), math.sin(angle)
        rotation_matrix = np.array([[c, s], [-s, c]])
        pose[:3:2, :3] = rotation_matrix @ pose[:3:2, :3]
        return self._posed(pose)

    def _posed(self, pose: np.ndarray) -> Camera:
        """The same intrinsics with a valid pose. Unchecked: it changes every frame, and checks would dominate."""
        posed = object.__new__(Camera)
        for name in INTRINSICS:
            object.__setattr__(posed, name, getattr(self, name))
        object.__setattr__(posed, "base_from_camera", pose)
        return posed

    def rays_from_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """(N, 2) u v of the received image -> (N, 3) rays in the camera frame, z = 1; nan outside the lens model."""
        return self._rays(pixels)[0]

    def rays_with_jacobians(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rays (N, 3) of (N, 2) pixels, and derivatives of their x y by u v: (N, 2, 2), or (1, 2, 2) for all."""
        rays, jacobians = self._rays(pixels)
        return rays, _inverse(jacobians)

    def _rays(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rays, and derivatives of pixels by ray x y: (N, 2, 2), or (1, 2, 2) for all."""
        points = np.ascontiguousarray(pixels, np.float64).reshape(-1, 2)
        rays = np.ones((len(points), 3))
        if self.has_distortion and len(points):
            return rays, self._undistort(points, rays)
        focal = self.pixel_from_camera.diagonal()[:2]
        np.divide(points - self.pixel_from_camera[:2, 2], focal, out=rays[:, :2])
        return rays, np.diag(focal)[None]

    def _undistort(self, pixels: np.ndarray, rays: np.ndarray) -> np.ndarray:
        """Write rays of pixels into `rays`, nan where inversion fails; returns derivatives of pixels by ray x y."""
        points, k, distortion = pixels[:, None], self.pixel_from_camera, self._coefficients()
        if self.model == FISHEYE:
            undistorted = cv2.fisheye.undistortPoints(points, k, distortion, **FISHEYE_OPTIONS)
        else:
            undistorted = cv2.undistortPointsIter(points, k, distortion, IDENTITY, IDENTITY, UNDISTORT_CRITERIA)
        rays[:, :2] = undistorted[:, 0]
        back, jacobians = self._project(rays)
        residuals = back - pixels
        consistent = np.einsum("ij,ij->i", residuals, residuals) < MAX_REPROJECTION_ERROR**2
        if not consistent.all():
            rays[~consistent, :2] = np.nan
        return jacobians

    def pixels_from_base(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) metres in base_link -> (N, 2) u v; nan for points behind the camera."""
        pose = self.pose
        in_camera = (np.asarray(points, float).reshape(-1, 3) - pose[:3, 3]) @ pose[:3, :3]
        pixels = np.full((len(in_camera), 2), np.nan)
        front = in_camera[:, 2] > 1e-3
        if front.any():
            pixels[front] = self._project(in_camera[front])[0]
        return pixels

    def _project(self, in_camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N, 2) pixels of (N, 3) points in the camera frame, and (N, 2, 2) their derivatives by x and y."""
        project = cv2.fisheye.projectPoints if self.model == FISHEYE else cv2.projectPoints
        pixels, jacobian = project(in_camera[:, None], ORIGIN, ORIGIN, self.pixel_from_camera, self._coefficients())
        return pixels[:, 0], jacobian.reshape(len(in_camera), 2, -1)[:, :, TRANSLATION_COLUMNS[self.model]]

    def _coefficients(self) -> np.ndarray:
        return self.distortion.astype(float) if len(self.distortion) else np.zeros(4)

    def ground_from_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Project (N, 2) pixels onto the road: (N, 2) metres in base_link, nan at or above the horizon."""
        pose = self.pose
        rays = self.rays_from_pixels(pixels) @ pose[:3, :3].T
        origin = pose[:3, 3]
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = np.where(rays[:, 2] < -MIN_DESCENT, -origin[2] / rays[:, 2], np.nan)
        ground: np.ndarray = origin[:2] + distance[:, None] * rays[:, :2]
        return ground


INTRINSICS = tuple(each.name for each in fields(Camera) if each.name != "base_from_camera")


def _inverse(matrices: np.ndarray) -> np.ndarray:
    """Inverse of (N, 2, 2) matrices; inf or nan where singular."""
    (a, b), (c, d) = matrices.transpose(1, 2, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse: np.ndarray = matrices[:, ::-1, ::-1].transpose(0, 2, 1) * COFACTORS / (a * d - b * c)[:, None, None]
    return inverse


def _check_intrinsics(camera: Camera) -> None:
    k, coefficients = camera.pixel_from_camera, camera.distortion
    if k.shape != (3, 3) or not np.isfinite(k).all() or k[0, 0] <= 0 or k[1, 1] <= 0:
        raise CalibrationError(
            "CameraInfo has no usable K (fx or fy is 0): calibrate the camera; metric output is off until then"
        )
    if camera.model not in COEFFICIENTS:
        raise CalibrationError(f"distortion model '{camera.model}' is unknown: expected {', '.join(COEFFICIENTS)}")
    if camera.width <= 0 or camera.height <= 0:
        raise CalibrationError(
            f"CameraInfo is of an image of {camera.width}x{camera.height} pixels: make the driver send width and height"
        )
    if len(coefficients) not in COEFFICIENTS[camera.model] or not np.isfinite(coefficients).all():
        raise CalibrationError(
            f"distortion model {camera.model} has {len(coefficients)} coefficients: expected "
            f"{' or '.join(map(str, COEFFICIENTS[camera.model]))} finite ones"
        )


def _check_pose(pose: np.ndarray | None) -> None:
    if pose is None:
        return
    if pose.shape != (4, 4) or not np.isfinite(pose).all() or pose[2, 3] <= 0:
        raise CalibrationError(
            "the camera pose is at or below the road: check the extrinsics (z must be > 0 in base_link)"
        )
    rotation_matrix = pose[:3, :3]
    if not np.allclose(rotation_matrix @ rotation_matrix.T, np.eye(3), atol=1e-3) or np.linalg.det(rotation_matrix) < 0:
        raise CalibrationError("the camera pose is not a rigid transform: check the extrinsics")


def _unrectified_pose(base_from_rectified: np.ndarray | None, r: Sequence[float]) -> np.ndarray | None:
    """Pose of the unrectified camera: in stereo rigs header.frame_id is the rectified frame (REP 104)."""
    if base_from_rectified is None or len(r) != 9 or not np.any(r):
        return base_from_rectified
    pose = base_from_rectified.copy()
    pose[:3, :3] = pose[:3, :3] @ np.array(r, float).reshape(3, 3)
    return pose


def rotation_from_rpy(rpy: Sequence[float]) -> np.ndarray:
    """(3, 3) rotation by roll, pitch, yaw radians about the fixed axes x, y, z (REP 103)."""
    roll, pitch, yaw = rpy
    cr, sr, cp, sp, cy, sy = np.cos(roll), np.sin(roll), np.cos(pitch), np.sin(pitch), np.cos(yaw), np.sin(yaw)
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


BODY_FROM_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


def optical_from_rpy(xyz: Sequence[float], rpy: Sequence[float]) -> np.ndarray:
    """base_from_camera (4, 4) of a camera at xyz metres with roll, pitch, yaw in radians.

    Angles follow REP 103: pitch > 0 looks down, yaw > 0 looks left.
    """
    pose = np.eye(4)
    pose[:3, :3] = rotation_from_rpy(rpy) @ BODY_FROM_OPTICAL
    pose[:3, 3] = xyz
    return pose


def rpy_of(base_from_camera: np.ndarray) -> tuple[float, float, float]:
    """Roll, pitch, yaw of a camera pose: the inverse of optical_from_rpy."""
    r = base_from_camera[:3, :3] @ BODY_FROM_OPTICAL.T
    pitch = -np.arcsin(np.clip(r[2, 0], -1, 1))
    return (
        float(np.arctan2(r[2, 1], r[2, 2])),
        float(pitch),
        float(np.arctan2(r[1, 0], r[0, 0])),
    )


def camera_from_info(info: Any, base_from_camera: np.ndarray | None, rectified: bool) -> Camera:
    """The camera of a sensor_msgs/CameraInfo message, read by rclpy or rosbags.

    Raises CalibrationError when it holds no calibration.
    """
    roi = info.roi
    return Camera.from_camera_info(
        info.width,
        info.height,
        info.k,
        info.d,
        info.distortion_model,
        r=info.r,
        p=info.p,
        binning=(info.binning_x, info.binning_y),
        roi=(roi.x_offset, roi.y_offset, roi.width, roi.height),
        rectified=rectified,
        base_from_camera=base_from_camera,
    )
