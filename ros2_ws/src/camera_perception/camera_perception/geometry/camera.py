"""Camera model: pixels of the image as received <-> rays <-> the road plane.

Pixel (0, 0) is the top-left corner of the top-left pixel, as everywhere in this library. OpenCV and CameraInfo count
from the middle of that pixel: `from_camera_info` moves the principal point by the half pixel, 2 % of range at 60 m.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from camera_perception.core.errors import CalibrationError

PLUMB_BOB, RATIONAL, FISHEYE = "plumb_bob", "rational_polynomial", "equidistant"
COEFFICIENTS = {PLUMB_BOB: (0, 4, 5), RATIONAL: (0, 8, 12, 14), FISHEYE: (0, 4)}  # how many each model may have
NO_TURN, NOWHERE = np.eye(3), np.zeros(3)
SEARCH = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 40, 1e-6)  # of the inverse of the distortion
MAX_RETURN_ERROR = 0.5  # pixels; a ray that does not come back to its pixel lies outside the model
# Columns of OpenCV's projection Jacobians that belong to x and y of a shift of the camera.
SHIFT = {PLUMB_BOB: slice(3, 5), RATIONAL: slice(3, 5), FISHEYE: slice(11, 13)}
COFACTORS = np.array([[1.0, -1.0], [-1.0, 1.0]])  # signs
LEAST_DESCENT = 1e-6  # of a unit ray, under which it never meets the road


@dataclass(frozen=True, slots=True)
class Camera:
    """A calibrated camera.

    width, height    pixels of the image that K belongs to
    pixel_from_camera (3, 3) K in our pixels; camera frame: x right, y down, z forward (REP 103 optical frame)
    distortion       (D,) coefficients in OpenCV's order; none or all zero for rectified images
    model            plumb_bob, rational_polynomial or equidistant
    base_from_camera (4, 4) pose of the camera on the car, or None when unknown: then nothing is metric
    """

    width: int
    height: int
    pixel_from_camera: np.ndarray
    distortion: np.ndarray
    model: str = PLUMB_BOB
    base_from_camera: np.ndarray | None = None

    def __post_init__(self) -> None:
        _check_lens(self)
        _check_pose(self.base_from_camera)

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
        """The camera of a sensor_msgs/CameraInfo; CalibrationError when it holds no calibration.

        binning          x y, 0 and 1 alike mean none
        roi              x_offset y_offset width height in unbinned pixels, all zero for the whole sensor
        rectified        the images are image_rect: P describes them, D and R do not
        base_from_camera (4, 4) pose of the frame that header.frame_id names
        """
        matrix = (
            np.array(p, float).reshape(3, 4)[:, :3] if rectified and len(p) == 12 else np.array(k, float).reshape(3, 3)
        )
        size = roi[2:] if all(roi[2:]) else (width, height)
        steps = np.maximum(binning, 1)
        matrix = matrix.copy()
        matrix[:2, 2] += np.subtract(0.5, roi[:2])
        matrix[:2] /= steps[:, None]
        pose = base_from_camera if rectified else _turned_back(base_from_camera, r)
        lens = np.zeros(0) if rectified else np.array(d, float)
        return Camera(int(size[0] // steps[0]), int(size[1] // steps[1]), matrix, lens, model or PLUMB_BOB, pose)

    @property
    def metric(self) -> bool:
        """Whether pixels can become metres."""
        return self.base_from_camera is not None

    @property
    def pose(self) -> np.ndarray:
        """base_from_camera; CalibrationError when it is not known."""
        if self.base_from_camera is None:
            raise CalibrationError("no camera pose: give base_link -> camera by TF or in the rig file")
        return self.base_from_camera

    def pitched(self, angle: float) -> Camera:
        """The same camera looking `angle` radians further down, turned about the car's lateral axis."""
        pose = self.pose.copy()
        c, s = math.cos(angle), math.sin(angle)
        turn = np.array([[c, s], [-s, c]])
        pose[:3:2, :3] = turn @ pose[:3:2, :3]
        return self._posed(pose)

    def _posed(self, pose: np.ndarray) -> Camera:
        """The same lens at a pose that is known to be one: each frame has its own, checking it would cost the most."""
        posed = copy(self)
        object.__setattr__(posed, "base_from_camera", pose)
        return posed

    def rays_from_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """(N, 2) u v of the image as received -> (N, 3) rays in the camera frame, z = 1; nan outside the lens."""
        return self._rays(pixels)[0]

    def rays_with_slopes(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rays (N, 3) of (N, 2) pixels, and how their x y change per pixel of u v: (N, 2, 2), or (1, 2, 2) for all."""
        rays, by_plane = self._rays(pixels)
        return rays, _inverse(by_plane)

    def _rays(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rays, and how pixels change with their x y: (N, 2, 2), or (1, 2, 2) for all."""
        points = np.ascontiguousarray(pixels, np.float64).reshape(-1, 2)
        rays = np.ones((len(points), 3))
        if self.distorts and len(points):
            return rays, self._undistort(points, rays)
        focal = self.pixel_from_camera.diagonal()[:2]
        np.divide(points - self.pixel_from_camera[:2, 2], focal, out=rays[:, :2])
        return rays, np.diag(focal)[None]

    @property
    def distorts(self) -> bool:
        """Whether the lens bends rays; of rectified images it does not."""
        return self.model == FISHEYE or any(self.distortion.tolist())

    def _undistort(self, pixels: np.ndarray, rays: np.ndarray) -> np.ndarray:
        """Write the rays of pixels into rays, nan where they do not lead back; returns how pixels change with x y."""
        points, lens = pixels[:, None], self._lens()
        if self.model == FISHEYE:
            found = cv2.fisheye.undistortPoints(points, self.pixel_from_camera, lens, criteria=SEARCH)
        else:
            found = cv2.undistortPointsIter(points, self.pixel_from_camera, lens, NO_TURN, NO_TURN, SEARCH)
        rays[:, :2] = found[:, 0]
        back, by_plane = self._project(rays)
        off = back - pixels
        known = np.einsum("ij,ij->i", off, off) < MAX_RETURN_ERROR**2
        if not known.all():
            rays[~known, :2] = np.nan
        return by_plane

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
        """(N, 2) pixels of (N, 3) points in the camera frame, and (N, 2, 2) their changes with x and y."""
        project = cv2.fisheye.projectPoints if self.model == FISHEYE else cv2.projectPoints
        pixels, jacobian = project(in_camera[:, None], NOWHERE, NOWHERE, self.pixel_from_camera, self._lens())
        return pixels[:, 0], jacobian.reshape(len(in_camera), 2, -1)[:, :, SHIFT[self.model]]

    def _lens(self) -> np.ndarray:
        return self.distortion.astype(float) if len(self.distortion) else np.zeros(4)

    def ground_from_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Where the rays of (N, 2) pixels meet the road: (N, 2) metres in base_link, nan at or above the horizon."""
        pose = self.pose
        rays = self.rays_from_pixels(pixels) @ pose[:3, :3].T
        origin = pose[:3, 3]
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = np.where(rays[:, 2] < -LEAST_DESCENT, -origin[2] / rays[:, 2], np.nan)
        return origin[:2] + distance[:, None] * rays[:, :2]


def _inverse(matrices: np.ndarray) -> np.ndarray:
    """Of (N, 2, 2), without an error where there is none."""
    (a, b), (c, d) = matrices.transpose(1, 2, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return matrices[:, ::-1, ::-1].transpose(0, 2, 1) * COFACTORS / (a * d - b * c)[:, None, None]


def _check_lens(camera: Camera) -> None:
    k, lens = camera.pixel_from_camera, camera.distortion
    if k.shape != (3, 3) or not np.isfinite(k).all() or k[0, 0] <= 0 or k[1, 1] <= 0:
        raise CalibrationError(
            "CameraInfo has no usable K (fx or fy is 0): calibrate the camera, metric output stays off until then"
        )
    if camera.model not in COEFFICIENTS:
        raise CalibrationError(f"distortion model '{camera.model}' is unknown: expected {', '.join(COEFFICIENTS)}")
    fits = len(lens) in COEFFICIENTS[camera.model] or not np.any(lens)
    if not fits or not np.isfinite(lens).all():
        raise CalibrationError(
            f"distortion model {camera.model} has {len(lens)} coefficients: expected "
            f"{' or '.join(map(str, COEFFICIENTS[camera.model]))} finite ones"
        )


def _check_pose(pose: np.ndarray | None) -> None:
    if pose is None:
        return
    if pose.shape != (4, 4) or not np.isfinite(pose).all() or pose[2, 3] <= 0:
        raise CalibrationError(
            "the camera pose puts the camera at or under the road: check the extrinsics (z must be > 0 in base_link)"
        )
    turn = pose[:3, :3]
    if not np.allclose(turn @ turn.T, np.eye(3), atol=1e-3) or np.linalg.det(turn) < 0:
        raise CalibrationError("the camera pose is no rotation and shift: check the extrinsics")


def _turned_back(base_from_rectified: np.ndarray | None, r: Sequence[float]) -> np.ndarray | None:
    """Pose of the sensor itself: in stereo rigs header.frame_id is the rectified frame, R leads there (REP 104)."""
    if base_from_rectified is None or len(r) != 9 or not np.any(r):
        return base_from_rectified
    pose = base_from_rectified.copy()
    pose[:3, :3] = pose[:3, :3] @ np.array(r, float).reshape(3, 3)
    return pose


def rotation(rpy: Sequence[float]) -> np.ndarray:
    """(3, 3) rotation of roll, pitch, yaw radians about the fixed axes x, y, z (REP 103)."""
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
    """base_from_camera (4, 4) of a camera at xyz metres, turned by roll, pitch, yaw radians.

    Angles are those of REP 103: pitch > 0 looks down, yaw > 0 to the left.
    """
    pose = np.eye(4)
    pose[:3, :3] = rotation(rpy) @ BODY_FROM_OPTICAL
    pose[:3, 3] = xyz
    return pose


def rpy_of(base_from_camera: np.ndarray) -> tuple[float, float, float]:
    """Roll, pitch, yaw of a camera pose: the way back of optical_from_rpy."""
    turn = base_from_camera[:3, :3] @ BODY_FROM_OPTICAL.T
    pitch = -np.arcsin(np.clip(turn[2, 0], -1, 1))
    return float(np.arctan2(turn[2, 1], turn[2, 2])), float(pitch), float(np.arctan2(turn[1, 0], turn[0, 0]))


def camera_from_info(info: Any, base_from_camera: np.ndarray | None, rectified: bool) -> Camera:
    """The camera that a sensor_msgs/CameraInfo describes, whoever read the message (rclpy, rosbags).

    CalibrationError when it holds no calibration.
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
