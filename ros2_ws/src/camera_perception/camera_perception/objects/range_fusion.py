"""Positions from range sensors: a robust median of the depth pixels or lidar points in an object's box."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from camera_perception.core.types import Frame, Objects, PositionMethod
from camera_perception.geometry.camera import Camera
from camera_perception.objects.config import DEFAULT_LOCALIZATION, LocalizationConfig
from camera_perception.objects.contact import OVERHEAD, SIDES
from camera_perception.objects.visibility import visible_widths

CORE = np.array([0.25, 0.35, 0.75, 0.85])  # part of a box that shows the object itself: x0 y0 x1 y1 as fractions


@dataclass(frozen=True, slots=True)
class Depth:
    """A depth image registered to the camera: it shows the same view as the image, in any resolution.

    metres  (h, w) float32 along the optical axis; 0, nan and inf mean no measurement
    age     seconds between its stamp and the image's
    """

    metres: np.ndarray
    age: float = 0.0


@dataclass(frozen=True, slots=True)
class Cloud:
    """Lidar points.

    points  (P, 3) float32 metres in the camera's frame: x right, y down, z forward
    age     seconds between their stamp and the image's
    """

    points: np.ndarray
    age: float = 0.0


@dataclass(frozen=True, slots=True)
class Ranges:
    """Measurements of range sensors near the time of an image."""

    depth: Depth | None = None
    cloud: Cloud | None = None


RangeSource = Callable[[Frame, Camera], Ranges]


def with_ranges(
    objects: Objects,
    ranges: Ranges,
    camera: Camera,
    classes: tuple[str, ...],
    config: LocalizationConfig = DEFAULT_LOCALIZATION,
) -> Objects:
    """The objects with positions from range sensors where those measure objects on the road; lidar before depth."""
    if ranges.depth is not None:
        objects = _with_depth(objects, ranges.depth, camera, classes, config)
    if ranges.cloud is not None:
        objects = _with_lidar(objects, ranges.cloud, camera, classes, config)
    return objects


def _with_depth(
    objects: Objects, depth: Depth, camera: Camera, classes: tuple[str, ...], config: LocalizationConfig
) -> Objects:
    samples = [_depth_samples(box, depth.metres, camera, config.depth_grid) for box in objects.boxes]
    found = _object_depths(objects.boxes, samples, config)
    found[OVERHEAD.lookup(objects.classes, classes)] = np.nan
    sigma = np.hypot(config.depth_std_ratio * found, config.closing_speed_std * depth.age)
    return _with_measured_depths(objects, found, sigma, camera, PositionMethod.DEPTH, config)


def _with_lidar(
    objects: Objects, cloud: Cloud, camera: Camera, classes: tuple[str, ...], config: LocalizationConfig
) -> Objects:
    boxes = _ray_boxes(objects.boxes, camera)
    rays, depths = _candidate_points(cloud.points, boxes, camera.pose, config)
    samples = [(rays[:, rows], depths[rows]) for rows in (_within(rays, _core(box)) for box in boxes)]
    found = _object_depths(boxes, samples, config)
    found[OVERHEAD.lookup(objects.classes, classes)] = np.nan
    sigma = np.full(len(found), np.hypot(config.lidar_std, config.closing_speed_std * cloud.age))
    return _with_measured_depths(objects, found, sigma, camera, PositionMethod.LIDAR, config)


def _ray_boxes(boxes: np.ndarray, camera: Camera) -> np.ndarray:
    """(N, 4) boxes in x y of rays: converts a few corners to rays instead of many points to pixels."""
    rays = camera.rays_from_pixels(boxes[:, [0, 1, 2, 1, 0, 3, 2, 3]].reshape(-1, 2))[:, :2].reshape(-1, 4, 2)
    return np.concatenate((rays.min(axis=1), rays.max(axis=1)), axis=1)


def _candidate_points(
    points: np.ndarray, boxes: np.ndarray, base_from_camera: np.ndarray, config: LocalizationConfig
) -> tuple[np.ndarray, np.ndarray]:
    """(2, M) rays and (M,) depths of those of (P, 3) points that may lie in one of the boxes, and not on the road."""
    valid = boxes[np.isfinite(boxes).all(axis=1)]
    if not len(valid):
        return np.zeros((2, 0)), np.zeros(0)
    (left, top), (right, bottom) = valid[:, :2].min(axis=0), valid[:, 2:].max(axis=0)
    x, y, z = points.T
    inside = (z > 0) & (z < config.max_range) & (x > left * z) & (x < right * z) & (y > top * z) & (y < bottom * z)
    near = points.T.take(np.flatnonzero(inside), axis=1).astype(float)
    above = base_from_camera[2, :3] @ near + base_from_camera[2, 3] > config.road_clearance
    return (near[:2] / near[2])[:, above], near[2, above]


def _depth_samples(box: np.ndarray, metres: np.ndarray, camera: Camera, grid: int) -> tuple[np.ndarray, np.ndarray]:
    """(2, M) pixels u v of the image in the core of a box, and their (M,) depths; at most about grid x grid."""
    height, width = metres.shape
    scale = np.array([width / camera.width, height / camera.height])
    x0, y0, x1, y1 = np.clip(_core(box) * np.tile(scale, 2), 0, (width, height) * 2).astype(int)
    across, down = max(1, (x1 - x0) // grid), max(1, (y1 - y0) // grid)
    v, u = np.mgrid[y0:y1:down, x0:x1:across].reshape(2, -1)
    return (np.stack((u, v)) + 0.5) / scale[:, None], metres[y0:y1:down, x0:x1:across].ravel()


def _core(box: np.ndarray) -> np.ndarray:
    size = (box[2:] - box[:2]).astype(float)
    return np.asarray(np.concatenate((box[:2], box[:2])) + CORE * np.concatenate((size, size)))


def _within(points: np.ndarray, box: np.ndarray) -> np.ndarray:
    """(M,) bool: which of (2, M) x y lie in a box."""
    (x, y), (x0, y0, x1, y1) = points, box
    return np.asarray((x >= x0) & (x <= x1) & (y >= y0) & (y <= y1))


def _object_depths(
    boxes: np.ndarray, samples: list[tuple[np.ndarray, np.ndarray]], config: LocalizationConfig
) -> np.ndarray:
    """(N,) depths of objects, nan where unknown; samples in the box of a nearer object do not count.

    samples  for each object x y (2, M), in the boxes' units, and depths (M,)
    """
    found, bottom = np.full(len(boxes), np.nan), boxes[:, 3]
    for row, (points, depths) in enumerate(samples):
        nearer = bottom > bottom[row] + config.occluder_margin * (bottom[row] - boxes[row, 1])
        covered = np.zeros(len(depths), bool)
        for other in boxes[nearer]:
            covered |= _within(points, other)
        found[row] = _nearest_cluster(depths[~covered], config)
    return found


def _nearest_cluster(depths: np.ndarray, config: LocalizationConfig) -> float:
    """The median of the depths close to the lower quartile: the background behind the object does not count."""
    depths = np.sort(depths[(depths > 0) & (depths < config.max_range)])
    if len(depths) < config.min_points:
        return np.nan
    front = depths[len(depths) // 4]
    near = depths[np.abs(depths - front) < 1.0 + 0.05 * front]
    return float(near[len(near) // 2])


def _with_measured_depths(
    objects: Objects,
    found: np.ndarray,
    sigma: np.ndarray,
    camera: Camera,
    method: PositionMethod,
    config: LocalizationConfig,
) -> Objects:
    """The objects at depths found (N,) with sigma (N,) along the line of sight; nan leaves an object unchanged."""
    rays = camera.rays_from_pixels((objects.boxes[:, :2] + objects.boxes[:, 2:]) / 2)
    rows = np.flatnonzero(np.isfinite(found) & np.isfinite(rays).all(axis=1))
    if not len(rows):
        return objects
    boxes, pose, depths = objects.boxes[rows].astype(float), camera.pose, found[rows]
    position = ((rays[rows] * depths[:, None]) @ pose[:3, :3].T + pose[:3, 3])[:, :2]
    across = depths / camera.pixel_from_camera[0, 0] * (1.0 + 0.015 * (boxes[:, 2] - boxes[:, 0]))
    across = np.hypot(across, np.where(objects.truncated[rows] & SIDES, config.truncated_position_std, 0.0))
    names = "positions", "position_covs", "position_methods", "ground_widths"
    columns = {name: getattr(objects, name).copy() for name in names}
    columns["positions"][rows] = np.c_[position, np.zeros(len(rows))]
    columns["position_covs"][rows] = _oriented_covs(position - pose[:2, 3], sigma[rows], across)
    columns["position_methods"][rows] = method
    columns["ground_widths"][rows] = visible_widths(objects[rows], position, camera)
    return replace(objects, **columns)


def _oriented_covs(direction: np.ndarray, along: np.ndarray, across: np.ndarray) -> np.ndarray:
    """(N, 2, 2) covariances with these standard deviations along and across (N, 2) directions."""
    forward = direction / np.linalg.norm(direction, axis=1, keepdims=True)
    left = np.c_[-forward[:, 1], forward[:, 0]]
    axes = np.stack((forward * along[:, None], left * across[:, None]), axis=2)
    return np.asarray(axes @ axes.transpose(0, 2, 1))
