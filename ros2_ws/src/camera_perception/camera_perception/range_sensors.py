"""Better ranges where a depth image or a lidar is at hand: a robust median of what falls into an object's box."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from camera_perception.camera import Camera
from camera_perception.types import Objects, PositionMethod

CORE = np.array([0.25, 0.35, 0.75, 0.85])  # part of a box that shows the object itself: x0 y0 x1 y1 as shares
LEAST_POINTS = 3
ROAD_CLEARANCE = 0.25  # metres above the road, under which a lidar point belongs to the road


def with_depth(objects: Objects, depth: np.ndarray, camera: Camera, share: float = 0.02) -> Objects:
    """Positions from a depth image where it sees the object.

    depth  (H, W) metres along the optical axis, registered to the camera's image; 0, nan and inf mean nothing seen
    share  standard deviation of the depth as share of itself
    """
    return _ranged(objects, [_depth_of(box, depth) for box in objects.boxes], camera, share, PositionMethod.DEPTH)


def with_lidar(objects: Objects, points: np.ndarray, camera: Camera, sigma: float = 0.15) -> Objects:
    """Positions from lidar points (P, 3) in base_link, brought to the image's time; sigma in metres."""
    points = points[np.isfinite(points).all(axis=1) & (points[:, 2] > ROAD_CLEARANCE)]
    pixels = camera.pixels_from_base(points)
    depth = ((points - camera.pose[:3, 3]) @ camera.pose[:3, :3])[:, 2]
    found = [_nearest_cluster(depth[_in_core(pixels, box)]) for box in objects.boxes]
    return _ranged(objects, found, camera, sigma, PositionMethod.LIDAR)


def _depth_of(box: np.ndarray, depth: np.ndarray) -> float:
    x0, y0, x1, y1 = np.clip(_core(box), 0, (depth.shape[1], depth.shape[0]) * 2).astype(int)
    return _nearest_cluster(depth[y0:y1, x0:x1].ravel())


def _core(box: np.ndarray) -> np.ndarray:
    size = (box[2:] - box[:2]).astype(float)
    return np.concatenate((box[:2], box[:2])) + CORE * np.concatenate((size, size))


def _in_core(pixels: np.ndarray, box: np.ndarray) -> np.ndarray:
    core = _core(box)
    with np.errstate(invalid="ignore"):
        return np.asarray(((pixels >= core[:2]) & (pixels <= core[2:])).all(axis=1))


def _nearest_cluster(depths: np.ndarray) -> float:
    """The median of depths that lie together with the lower quartile: what stands behind the object is left out."""
    depths = depths[np.isfinite(depths) & (depths > 0)]
    if len(depths) < LEAST_POINTS:
        return np.nan
    front = np.quantile(depths, 0.25)
    return float(np.median(depths[np.abs(depths - front) < 1.0 + 0.05 * front]))


def _ranged(objects: Objects, depths: list[float], camera: Camera, sigma: float, method: PositionMethod) -> Objects:
    found = np.array(depths, float)
    rows = np.isfinite(found)
    if not rows.any():
        return objects
    boxes, pose = objects.boxes[rows].astype(float), camera.pose
    rays = camera.rays_from_pixels(np.c_[boxes[:, [0, 2]].mean(axis=1), boxes[:, [1, 3]].mean(axis=1)])
    place = (rays * found[rows, None]) @ pose[:3, :3].T + pose[:3, 3]
    along = found[rows] * sigma if method == PositionMethod.DEPTH else np.full(rows.sum(), sigma)
    across = found[rows] / camera.pixel_from_camera[0, 0] * (1.0 + 0.015 * (boxes[:, 2] - boxes[:, 0]))
    positions, covs, methods = objects.positions.copy(), objects.position_covs.copy(), objects.position_methods.copy()
    positions[rows] = np.c_[place[:, :2], np.zeros(len(place))]
    covs[rows] = _oriented(place[:, :2] - pose[:2, 3], along, across)
    methods[rows] = method
    return replace(objects, positions=positions, position_covs=covs, position_methods=methods)


def _oriented(direction: np.ndarray, along: np.ndarray, across: np.ndarray) -> np.ndarray:
    """(N, 2, 2) covariances with these standard deviations along and across (N, 2) directions."""
    forward = direction / np.linalg.norm(direction, axis=1, keepdims=True)
    left = np.c_[-forward[:, 1], forward[:, 0]]
    axes = np.stack((forward * along[:, None], left * across[:, None]), axis=2)
    return axes @ axes.transpose(0, 2, 1)
