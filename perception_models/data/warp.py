"""Warping of an image and all its labels by one homography."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from perception_models.data.labels import IGNORE, MIRRORED_TYPE
from perception_models.data.sample import Boxes, Lane, Lanes, Sample

PAD = 114  # grey around the image, the same as on the vehicle
MIN_VISIBLE = 0.2  # fraction of a box that must remain in the image, or it becomes ignored
MIN_HEIGHT = 3.0  # pixels
# OpenCV has its origin at the centre of the first pixel, labels at its corner.
_CORNER_FROM_CENTRE = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
_CENTRE_FROM_CORNER = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])


def letterbox(size: tuple[int, int], target: tuple[int, int]) -> np.ndarray:
    """(3, 3) target_from_image that fits a whole (height, width) image, centred and undistorted, into a target."""
    scale = min(target[0] / size[0], target[1] / size[1])
    height, width = round(size[0] * scale), round(size[1] * scale)
    top, left = (target[0] - height) // 2, (target[1] - width) // 2
    return np.array([[width / size[1], 0, left], [0, height / size[0], top], [0, 0, 1.0]])


def mirror(width: float) -> np.ndarray:
    """(3, 3) left-right flip of an image of this width."""
    return np.array([[-1.0, 0, width], [0, 1, 0], [0, 0, 1]])


def warp(sample: Sample, out_from_image: np.ndarray, size: tuple[int, int], pad: int = PAD) -> Sample:
    """Apply a homography to a sample; the result is of size (height, width).

    out_from_image (3, 3) pixels to pixels, both counted from the top-left corner of the top-left pixel
    """
    intrinsics, base_from_camera = _warp_camera(sample, out_from_image)
    return replace(
        sample,
        image=_warp_image(sample.image, out_from_image, size, pad),
        boxes=None if sample.boxes is None else warp_boxes(sample.boxes, out_from_image, size),
        lanes=None if sample.lanes is None else warp_lanes(sample.lanes, out_from_image),
        drivable=_warp_mask(sample.drivable, out_from_image, size),
        semantic=_warp_mask(sample.semantic, out_from_image, size),
        intrinsics=intrinsics,
        base_from_camera=base_from_camera,
    )


def _warp_camera(sample: Sample, matrix: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Intrinsics and base_from_camera of the warped image: a homography changes intrinsics and viewing direction.

    A mirrored image shows the mirrored world (y of base changes its sign).
    """
    if sample.intrinsics is None:
        return None, sample.base_from_camera
    mirrored = np.linalg.det(matrix[:2, :2]) < 0
    flip = np.diag([-1.0 if mirrored else 1.0, 1, 1])
    _, intrinsics, rotation, *_ = cv2.RQDecomp3x3(matrix @ sample.intrinsics @ flip)
    signs = np.diag(np.sign(np.diag(intrinsics)))  # RQ is unique up to these
    intrinsics, rotation = intrinsics @ signs, signs @ rotation
    pose = sample.base_from_camera
    if pose is not None:
        pose = np.diag([1, flip[0, 0], 1, 1]) @ pose @ _pose(flip) @ _pose(rotation.T)
    return intrinsics / intrinsics[2, 2], pose


def _pose(rotation: np.ndarray) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = rotation
    return pose


def warp_points(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(N, 2) float32 points through a (3, 3) homography."""
    moved = np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]
    pixels: np.ndarray = (moved[:, :2] / moved[:, 2:]).astype(np.float32)
    return pixels


def warp_boxes(boxes: Boxes, matrix: np.ndarray, size: tuple[int, int]) -> Boxes:
    """Boxes around the warped corners, clipped to the image: barely visible ones become ignored, those outside go."""
    x0, y0, x1, y1 = boxes.boxes.T
    corners = warp_points(np.stack([x0, y0, x1, y0, x0, y1, x1, y1], 1).reshape(-1, 2), matrix).reshape(-1, 4, 2)
    full = np.concatenate([corners.min(1), corners.max(1)], 1)
    cut = np.clip(full, 0, np.array([size[1], size[0]] * 2, np.float32))
    visible = area(cut) / np.maximum(area(full), 1e-6)
    barely = (visible < MIN_VISIBLE) | (cut[:, 3] - cut[:, 1] < MIN_HEIGHT)
    return Boxes(cut, boxes.classes, boxes.ignored | barely, boxes.light_states)[visible > 0]


def area(boxes: np.ndarray) -> np.ndarray:
    """(N,) square pixels of (N, 4) boxes."""
    areas: np.ndarray = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), 1)
    return areas


def warp_lanes(lanes: Lanes, matrix: np.ndarray) -> Lanes:
    """Warped lines; mirroring also swaps sides and the two markings of a mixed double line."""
    mirrored = np.linalg.det(matrix[:2, :2]) < 0
    lines = [_warp_line(line, matrix, mirrored) for line in lanes.lines]
    known = frozenset(-p for p in lanes.labelled_positions) if mirrored else lanes.labelled_positions
    return Lanes(lines, known)


def _warp_line(line: Lane, matrix: np.ndarray, mirrored: bool) -> Lane:
    points = warp_points(line.points, matrix)
    if not mirrored:
        return replace(line, points=points)
    line_type = MIRRORED_TYPE.get(line.line_type, line.line_type)
    return replace(line, points=points, position=-line.position, line_type=line_type)


def _warp_image(image: np.ndarray, matrix: np.ndarray, size: tuple[int, int], pad: int) -> np.ndarray:
    """Bilinear; strong reductions start with halving by area averaging, so that thin lines survive."""
    if np.array_equal(matrix, np.eye(3)) and image.shape[:2] == size:
        return image.copy()
    while abs(np.linalg.det(matrix[:2, :2])) < 0.4 and min(image.shape[:2]) > 1:
        height, width = image.shape[:2]
        image = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        matrix = matrix @ np.diag([width / image.shape[1], height / image.shape[0], 1])
    return _perspective(image, matrix, size, cv2.INTER_LINEAR, (pad, pad, pad))


def _warp_mask(mask: np.ndarray | None, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray | None:
    return None if mask is None else _perspective(mask, matrix, size, cv2.INTER_NEAREST, IGNORE)


def _perspective(
    image: np.ndarray, matrix: np.ndarray, size: tuple[int, int], interpolation: int, fill: int | tuple[int, int, int]
) -> np.ndarray:
    affine = bool(np.abs(matrix[2] - (0, 0, 1)).max() < 1e-9)
    matrix = _CENTRE_FROM_CORNER @ matrix @ _CORNER_FROM_CENTRE
    fill = (fill, 0, 0) if isinstance(fill, int) else fill
    options: dict[str, Any] = dict(flags=interpolation, borderMode=cv2.BORDER_CONSTANT, borderValue=fill)
    if affine:
        return cv2.warpAffine(image, matrix[:2], size[::-1], **options)
    return cv2.warpPerspective(image, matrix, size[::-1], **options)
