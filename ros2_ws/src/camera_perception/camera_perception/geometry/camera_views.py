"""A calibrated camera whose image is turned, mirrored or resized after the calibration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from camera_perception.core.errors import CalibrationError
from camera_perception.geometry.camera import FISHEYE, Camera

MAX_SIZE_ERROR = 1.0  # pixels by which a resized image may miss the exact aspect ratio
TANGENTIAL, THIN_PRISM, TILT = slice(2, 4), slice(8, 12), slice(12, 14)  # of OpenCV's coefficients
# Rotation of image axes by a clockwise turn: the new x y of the old ones (u right, v down).
AXES = {0: ((1, 0), (0, 1)), 90: ((0, -1), (1, 0)), 180: ((-1, 0), (0, -1)), 270: ((0, 1), (-1, 0))}


def turned(camera: Camera, degrees: int = 0, mirror: bool = False) -> Camera:
    """The camera of images that are mirrored, then turned clockwise by 0, 90, 180 or 270 degrees.

    The calibration describes images as they arrive. Its pose is that of the camera itself: a turned image needs the
    pose turned about the optical axis, and a mirrored one keeps it, because mirroring restores what the lens saw.
    raises CalibrationError for a tilted sensor, whose distortion cannot be turned
    """
    axes = np.array(AXES[degrees], float) @ np.diag([-1.0 if mirror else 1.0, 1.0])
    if np.array_equal(axes, np.eye(2)):
        return camera
    size = np.array([camera.width, camera.height])
    k = camera.pixel_from_camera
    if abs(k[0, 1]) > 1e-9:
        raise CalibrationError("the calibration has skew, which cannot be turned: calibrate turned images")
    # Pixels turn about the centre of the image, rays about the optical axis.
    new_size = np.abs(axes) @ size
    centre = axes @ (k[:2, 2] - size / 2) + new_size / 2
    matrix = np.eye(3)
    matrix[[0, 1], [0, 1]], matrix[:2, 2] = np.abs(axes) @ k.diagonal()[:2], centre
    pose = camera.base_from_camera
    if pose is not None:
        rotation = np.eye(4)
        rotation[:2, :2] = np.array(AXES[degrees], float).T
        pose = pose @ rotation
    width, height = new_size.astype(int).tolist()
    return Camera(width, height, matrix, _turned_distortion(camera, axes), camera.model, pose)


def _turned_distortion(camera: Camera, axes: np.ndarray) -> np.ndarray:
    """Coefficients in turned axes: radial ones stay, tangential ones and those of a thin prism are vectors."""
    coefficients = camera.distortion.astype(float)
    if camera.model == FISHEYE:
        return coefficients
    if np.any(coefficients[TILT]):
        raise CalibrationError("the calibration has a tilted sensor, which cannot be turned: calibrate turned images")
    result = coefficients.copy()
    if len(result) >= 4:  # the displacement is along (p2, p1)
        result[TANGENTIAL] = (axes @ coefficients[TANGENTIAL][::-1])[::-1]
    if len(result) >= 12:  # s1 s2 are along x, s3 s4 along y
        result[THIN_PRISM] = (axes @ coefficients[THIN_PRISM].reshape(2, 2)).ravel()
    return result


def resized(camera: Camera, width: int, height: int) -> Camera | None:
    """The camera of images that were resized to width x height pixels; None if their aspect ratio is another."""
    if (camera.width, camera.height) == (width, height):
        return camera
    error = abs(width * camera.height / camera.width - height)
    if error > MAX_SIZE_ERROR:
        return None
    matrix = camera.pixel_from_camera.copy()
    matrix[:2] *= [[width / camera.width], [height / camera.height]]
    return replace(camera, width=width, height=height, pixel_from_camera=matrix)
