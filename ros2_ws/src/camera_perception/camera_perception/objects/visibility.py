"""The angle under which a camera sees a thing: how wide it is, and whether its place can be there.

Objects without their metres.
"""

from __future__ import annotations

import numpy as np

from camera_perception.core.types import Objects, PositionMethod
from camera_perception.geometry.camera import Camera
from camera_perception.objects.contact import SIDES


def unplaced(objects: Objects, rows: np.ndarray | slice = slice(None)) -> Objects:
    """The same, where these rows have neither a place nor a speed."""
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


BESIDE = 1.0  # metres from the sector in which a thing is seen, from where on its place must be wrong
TURN = 2 * np.pi


def sectors(boxes: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """(N, 4) boxes -> (N,) bearings in base_link of the lower right corner, (N,) angles on to the left one; radians."""
    rays = camera.rays_from_pixels(np.concatenate((boxes[:, [0, 3]], boxes[:, [2, 3]]))) @ camera.pose[:3, :3].T
    left, right = np.arctan2(rays[:, 1], rays[:, 0]).reshape(2, -1)
    return right, (left - right) % TURN


def visible_widths(objects: Objects, position: np.ndarray, camera: Camera) -> np.ndarray:
    """(N,) visible extent across the line of sight, metres; nan without position or where the box is cut at a side."""
    _, angle = sectors(objects.boxes, camera)
    width = 2 * np.tan(angle / 2) * np.hypot(*(position - camera.pose[:2, 3]).T)
    cut = (objects.truncated & SIDES) != 0
    return np.where(cut | (angle > np.pi / 2), np.nan, width).astype(np.float32)


def only_in_sight(objects: Objects, camera: Camera | None) -> Objects:
    """Without the places and speeds that the image refutes.

    What passes close by is cut by the image's edges until nothing measures its place any more; the one predicted may
    end up behind the camera that still sees the rest of it.
    """
    cut = (objects.truncated != 0) & ~objects.coasted & np.isfinite(objects.positions[:, 0])
    if camera is None or not cut.any():
        return objects
    rows = np.flatnonzero(cut)
    return unplaced(objects, rows[_beside(objects.positions[rows, :2], objects.boxes[rows], camera) > BESIDE])


def _beside(places: np.ndarray, boxes: np.ndarray, camera: Camera) -> np.ndarray:
    """(N,) metres between (N, 2) places and the sectors in which the boxes are seen; 0 inside."""
    right, angle = sectors(boxes, camera)
    sight = places - camera.pose[:2, 3]
    turned = (np.arctan2(sight[:, 1], sight[:, 0]) - right) % TURN
    off = np.where(turned <= angle, 0.0, np.minimum(turned - angle, TURN - turned))
    return np.hypot(*sight.T) * np.sin(np.minimum(off, np.pi / 2))
