"""The view angle of an object: how wide it is, and whether its position agrees with what the camera sees."""

from __future__ import annotations

import numpy as np

from camera_perception.core.types import Objects, PositionMethod
from camera_perception.geometry.camera import Camera
from camera_perception.objects.config import LocalizationConfig
from camera_perception.objects.contact import SIDES

FULL_TURN = 2 * np.pi


def without_positions(objects: Objects, rows: np.ndarray | slice = slice(None)) -> Objects:
    """The objects without everything in metres at these rows."""
    return objects.with_rows(
        rows,
        positions=np.nan,
        position_covs=np.nan,
        position_methods=PositionMethod.NONE,
        velocities=np.nan,
        velocity_covs=np.nan,
        ground_widths=np.nan,
        cues=np.nan,
    )


def visible_widths(objects: Objects, position: np.ndarray, camera: Camera) -> np.ndarray:
    """(N,) visible extent across the line of sight, metres; nan without position or for boxes truncated at a side."""
    _, angle = _view_sectors(objects.boxes, camera)
    width = 2 * np.tan(angle / 2) * np.hypot(*(position - camera.pose[:2, 3]).T)
    cut = (objects.truncated & SIDES) != 0
    return np.where(cut | (angle > np.pi / 2), np.nan, width).astype(np.float32)


def drop_invisible_positions(objects: Objects, camera: Camera | None, config: LocalizationConfig) -> Objects:
    """The objects without positions and velocities that contradict the image.

    The box of an object that passes close by is truncated until nothing measures its position any more; the predicted
    one may end up behind the camera while the rest of the object is still in view.
    """
    cut = (objects.truncated != 0) & ~objects.coasted & np.isfinite(objects.positions[:, 0])
    rows = cut.nonzero()[0]
    if camera is None or not rows.size:
        return objects
    distance = _distance_to_sector(objects.positions[rows, :2], objects.boxes[rows], camera)
    return without_positions(objects, rows[distance > config.max_sector_distance])


def _distance_to_sector(positions: np.ndarray, boxes: np.ndarray, camera: Camera) -> np.ndarray:
    """(N,) metres between (N, 2) positions and the sectors in which the camera sees the boxes; 0 inside."""
    right, angle = _view_sectors(boxes, camera)
    from_camera = positions - camera.pose[:2, 3]
    bearing = (np.arctan2(from_camera[:, 1], from_camera[:, 0]) - right) % FULL_TURN
    off = np.where(bearing <= angle, 0.0, np.minimum(bearing - angle, FULL_TURN - bearing))
    return np.asarray(np.hypot(*from_camera.T) * np.sin(np.minimum(off, np.pi / 2)))


def _view_sectors(boxes: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """(N, 4) boxes -> (N,) bearings of the lower right corner in base_link, (N,) angles to the left one; radians."""
    rays = camera.rays_from_pixels(np.concatenate((boxes[:, [0, 3]], boxes[:, [2, 3]]))) @ camera.pose[:3, :3].T
    left, right = np.arctan2(rays[:, 1], rays[:, 0]).reshape(2, -1)
    return right, (left - right) % FULL_TURN
