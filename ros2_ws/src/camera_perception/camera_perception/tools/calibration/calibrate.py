"""Camera calibration: the lens from images of a board, the mounting from lane lines and the camera height.

The method is Zhang's (2000), by OpenCV. Pixels are counted from the centre of the first pixel, as in CameraInfo.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from camera_perception.core.documents.kind import DocumentKind
from camera_perception.core.errors import CalibrationError
from camera_perception.geometry.camera import FISHEYE, PLUMB_BOB, RATIONAL, Camera, optical_from_rpy
from camera_perception.lanes.online_calibration import measure_calibration
from camera_perception.tools.calibration.boards import CHESSBOARD, Board, find_board

MIN_VIEWS, MAX_VIEWS = 6, 60  # images of the whole board
OUTLIER_PIXELS, OUTLIER_FACTOR = 0.5, 8  # a corner further off than both (pixels, medians) is left out
MIN_SIGHTINGS = 20  # frames with two straight lines
View = tuple[str, tuple[int, int], np.ndarray, np.ndarray]  # name, size, points on the board, pixels
DOCUMENT = DocumentKind(
    "a camera calibration",
    "yaml",
    ("camera_perception.geometry", "calibration.schema.json"),
    CalibrationError,
    "give a ROS camera_info file",
)


@dataclass(frozen=True)
class Lens:
    """Result of an intrinsic calibration.

    size       (width, height) pixels
    matrix     (3, 3) K of CameraInfo
    distortion (D,)
    rms        reprojection error over all corners of the views used, pixels
    errors     name of each view used: its rms
    unused     name of each image not used: why
    """

    size: tuple[int, int]
    matrix: np.ndarray
    distortion: np.ndarray
    model: str
    rms: float
    errors: dict[str, float]
    unused: dict[str, str]


def calibrate_lens(
    images: Iterable[tuple[str, np.ndarray]], board: Board | None = None, model: str = PLUMB_BOB
) -> Lens:
    """The lens with the smallest reprojection error of the boards in named images.

    board  default: a chessboard with 9x6 inner corners
    raises CalibrationError when too few images show it
    """
    board = board or Board()
    views: list[View] = []
    unused: dict[str, str] = {}
    for name, image in images:
        found = find_board(image, board) if len(views) < MAX_VIEWS else None
        if found is None:
            hidden = (
                "the whole board is not visible" if board.kind == CHESSBOARD else "too little of the board is visible"
            )
            unused[name] = f"{MAX_VIEWS} views are enough" if len(views) >= MAX_VIEWS else hidden
            continue
        views.append((name, (image.shape[1], image.shape[0]), *found))
    size = Counter(each[1] for each in views).most_common(1)[0][0] if views else (0, 0)
    unused |= {
        name: f"size {w}x{h}, most images have {size[0]}x{size[1]}" for name, (w, h), *_ in views if (w, h) != size
    }
    views = [view for view in views if view[1] == size]
    if len(views) < MIN_VIEWS:
        raise CalibrationError(
            f"{len(views)} images show {board.text}, {MIN_VIEWS} are needed: take images filled by the board at "
            "several tilts, and check its numbers of rows and columns"
        )
    if board.kind != CHESSBOARD:
        views = _without_outliers(views, size, model)
    return _solve(views, size, model, unused)


def _without_outliers(views: list[View], size: tuple[int, int], model: str) -> list[View]:
    """Views without single corners that lie far off: those of markers that something hides in part."""
    _, k, d, turns, shifts = _calibrated(views, size, model)
    errors = _corner_errors(views, k, d, turns, shifts, model)
    limit = max(OUTLIER_PIXELS, OUTLIER_FACTOR * float(np.median(np.concatenate(errors))))
    return [
        (name, shape, points[e <= limit], pixels[e <= limit]) for (name, shape, points, pixels), e in zip(views, errors)
    ]


def _solve(views: list[View], size: tuple[int, int], model: str, unused: dict[str, str]) -> Lens:
    rms, k, d, turns, shifts = _calibrated(views, size, model)
    corner_errors = _corner_errors(views, k, d, turns, shifts, model)
    errors = {view[0]: float(np.sqrt(np.mean(each**2))) for view, each in zip(views, corner_errors)}
    count = {PLUMB_BOB: 5, RATIONAL: 8, FISHEYE: 4}[model]
    return Lens(size, k, d.ravel()[:count], model, float(rms), errors, unused)


def _calibrated(views: list[View], size: tuple[int, int], model: str) -> tuple[Any, ...]:
    """OpenCV's result: rms, K, distortion, rotations and translations of the board."""
    corners_seen = [pixels.astype(np.float32).reshape(-1, 1, 2) for *_, pixels in views]
    boards = [points.reshape(-1, 1, 3) for *_, points, _ in views]
    if model == FISHEYE:
        flags = cv2.fisheye.CALIB_RECOMPUTE_EXTRINSIC | cv2.fisheye.CALIB_FIX_SKEW
        start = np.eye(3), np.zeros((4, 1))
        return tuple(cv2.fisheye.calibrate(boards, corners_seen, size, *start, flags=flags))
    if model in (PLUMB_BOB, RATIONAL):
        flags = cv2.CALIB_RATIONAL_MODEL if model == RATIONAL else 0
        return tuple(cv2.calibrateCamera(boards, corners_seen, size, None, None, flags=flags))
    raise CalibrationError(f"distortion model '{model}' is unknown: expected {PLUMB_BOB}, {RATIONAL} or {FISHEYE}")


def _corner_errors(
    views: list[View], k: np.ndarray, d: np.ndarray, turns: Sequence[Any], shifts: Sequence[Any], model: str
) -> list[np.ndarray]:
    """Distance of each corner from its reprojection, pixels; one (N,) array per view."""
    project = cv2.fisheye.projectPoints if model == FISHEYE else cv2.projectPoints
    errors = []
    for (_, _, points, pixels), turn, shift in zip(views, turns, shifts):
        expected = project(points.reshape(-1, 1, 3), turn, shift, k, d)[0].reshape(-1, 2)
        errors.append(np.linalg.norm(expected - pixels, axis=1))
    return errors


def camera_info_yaml(lens: Lens, name: str) -> str:
    """The file that camera drivers read (camera_info_manager)."""

    def matrix(values: np.ndarray) -> dict[str, Any]:
        return {"rows": len(values), "cols": values.shape[1], "data": [round(float(v), 6) for v in values.ravel()]}

    text: str = yaml.safe_dump(
        {
            "image_width": lens.size[0],
            "image_height": lens.size[1],
            "camera_name": name,
            "camera_matrix": matrix(lens.matrix),
            "distortion_model": lens.model,
            "distortion_coefficients": matrix(lens.distortion[None]),
            "rectification_matrix": matrix(np.eye(3)),
            "projection_matrix": matrix(np.c_[lens.matrix, np.zeros(3)]),
        },
        sort_keys=False,
    )
    return text


def camera_from_yaml(path: Path | str, base_from_camera: np.ndarray | None = None, rectified: bool = False) -> Camera:
    """The camera of a camera_info file; rectified: of its rectified images. CalibrationError when it is not one."""
    content = DOCUMENT.read(path)
    size = content["image_width"], content["image_height"]
    k, d = content["camera_matrix"]["data"], content["distortion_coefficients"]["data"]
    if rectified and "projection_matrix" not in content:
        raise CalibrationError(f"{path} has no projection_matrix, which describes rectified images: calibrate again")
    p = content["projection_matrix"]["data"] if rectified else ()
    model = content.get("distortion_model", PLUMB_BOB)
    return Camera.from_camera_info(*size, k, d, model, p=p, rectified=rectified, base_from_camera=base_from_camera)


def mounting(
    line_pairs: Iterable[tuple[np.ndarray, np.ndarray]],
    camera: Camera,
    xyz: Sequence[float],
    roll: float = 0.0,
) -> tuple[tuple[float, ...], np.ndarray]:
    """Pitch and yaw of a camera, from the lines of the ego lane while the car drives straight.

    line_pairs  left and right line (P, 2) in pixels, frame by frame; bends are left out
    camera      its lens; its pose is not used
    xyz         position in base_link, z the measured height, metres
    roll        radians; it cannot be estimated from lane lines
    returns     x y z roll pitch yaw, and the standard deviation of pitch and yaw over frames, radians
    """
    start = (roll, 0.05, 0.0)
    level = Camera(
        camera.width,
        camera.height,
        camera.pixel_from_camera,
        camera.distortion,
        camera.model,
        optical_from_rpy(xyz, start),
    )
    measurements = (measure_calibration(left, right, level) for left, right in line_pairs)
    found = [each for each in measurements if each is not None]
    if len(found) < MIN_SIGHTINGS:
        raise CalibrationError(
            f"{len(found)} frames show two straight lines, {MIN_SIGHTINGS} are needed: record a straight, marked road"
        )
    angles = np.array([(each.pitch, each.yaw) for each in found])
    pitch, yaw = np.median(angles, axis=0) + start[1:]
    spread = 1.4826 * np.median(np.abs(angles - np.median(angles, axis=0)), axis=0)
    return (*map(float, xyz), roll, float(pitch), float(yaw)), spread
