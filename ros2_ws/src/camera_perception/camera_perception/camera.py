"""Camera model: pixels of the image as received <-> rays <-> the road plane."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from camera_perception.errors import CalibrationError

PLUMB_BOB, RATIONAL, FISHEYE = "plumb_bob", "rational_polynomial", "equidistant"


@dataclass(frozen=True, slots=True)
class Camera:
    """A calibrated camera, as sensor_msgs/CameraInfo (REP 104) gives it.

    width, height    pixels of the image that K belongs to
    pixel_from_camera (3, 3) K; camera frame: x right, y down, z forward (REP 103 optical frame)
    distortion       (D,) coefficients in OpenCV's order; all zero for rectified images
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
        k = self.pixel_from_camera
        if k.shape != (3, 3) or not np.isfinite(k).all() or k[0, 0] <= 0 or k[1, 1] <= 0:
            raise CalibrationError("CameraInfo has no usable K (fx or fy is 0): calibrate the camera, metric output stays off until then")
        if self.model not in (PLUMB_BOB, RATIONAL, FISHEYE):
            raise CalibrationError(f"distortion model '{self.model}' is unknown: expected {PLUMB_BOB}, {RATIONAL} or {FISHEYE}")
        pose = self.base_from_camera
        if pose is not None and (pose.shape != (4, 4) or not np.isfinite(pose).all() or pose[2, 3] <= 0):
            raise CalibrationError("the camera pose puts the camera at or under the road: check the extrinsics (z must be > 0 in base_link)")

    @property
    def metric(self) -> bool:
        """Whether pixels can become metres."""
        return self.base_from_camera is not None

    def rays_from_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """(N, 2) u v of the image as received -> (N, 3) viewing rays in the camera frame, z = 1."""
        points = np.ascontiguousarray(pixels, np.float64).reshape(-1, 1, 2)
        if not len(points):
            return np.zeros((0, 3))
        undistort = cv2.fisheye.undistortPoints if self.model == FISHEYE else cv2.undistortPoints
        plane = undistort(points, self.pixel_from_camera, self.distortion).reshape(-1, 2)
        return np.c_[plane, np.ones(len(plane))]

    def pixels_from_base(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) metres in base_link -> (N, 2) u v; nan for points behind the camera."""
        camera_from_base = np.linalg.inv(self._pose())
        in_camera = np.asarray(points, float) @ camera_from_base[:3, :3].T + camera_from_base[:3, 3]
        pixels = np.full((len(in_camera), 2), np.nan)
        front = in_camera[:, 2] > 1e-3
        if front.any():
            pixels[front] = self._project(in_camera[front])
        return pixels

    def _project(self, in_camera: np.ndarray) -> np.ndarray:
        project = cv2.fisheye.projectPoints if self.model == FISHEYE else cv2.projectPoints
        none = np.zeros(3)
        if self.model == FISHEYE:
            return project(in_camera.reshape(-1, 1, 3), none, none, self.pixel_from_camera, self.distortion)[0].reshape(-1, 2)
        return project(in_camera, none, none, self.pixel_from_camera, self.distortion)[0].reshape(-1, 2)

    def ground_from_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Where the viewing rays of (N, 2) pixels meet the road: (N, 2) metres in base_link, nan at or above the horizon."""
        pose = self._pose()
        rays = self.rays_from_pixels(pixels) @ pose[:3, :3].T
        origin = pose[:3, 3]
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = np.where(rays[:, 2] < -1e-9, -origin[2] / rays[:, 2], np.nan)
        return origin[:2] + distance[:, None] * rays[:, :2]

    def _pose(self) -> np.ndarray:
        if self.base_from_camera is None:
            raise CalibrationError("no camera pose: give base_link -> camera by TF or in the rig file")
        return self.base_from_camera


def optical_from_rpy(xyz: tuple[float, float, float], rpy: tuple[float, float, float]) -> np.ndarray:
    """base_from_camera (4, 4) of a camera mounted at xyz metres, turned by roll, pitch, yaw radians (REP 103: pitch > 0 looks down)."""
    roll, pitch, yaw = rpy
    cr, sr, cp, sp, cy, sy = np.cos(roll), np.sin(roll), np.cos(pitch), np.sin(pitch), np.cos(yaw), np.sin(yaw)
    base_from_body = np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )
    body_from_optical = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    pose = np.eye(4)
    pose[:3, :3] = base_from_body @ body_from_optical
    pose[:3, 3] = xyz
    return pose
