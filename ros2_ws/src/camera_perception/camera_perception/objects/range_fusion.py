"""Better ranges where a depth image or a lidar is at hand: a robust median of what falls into an object's box.

What a depth camera and a lidar say about one image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from camera_perception.core.types import Frame, Objects, PositionMethod
from camera_perception.geometry.camera import Camera
from camera_perception.objects.contact import HANGING, SIDES
from camera_perception.objects.localize import CUT_DOUBT, MAX_RANGE
from camera_perception.objects.visibility import visible_widths


@dataclass(frozen=True, slots=True)
class Depth:
    """A depth image registered to the camera: it shows the same view as the image, in any resolution.

    metres  (h, w) float32 along the optical axis; 0, nan and inf mean nothing seen
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
    """What other sensors saw near the time of an image."""

    depth: Depth | None = None
    cloud: Cloud | None = None


RangeSource = Callable[[Frame, Camera], Ranges]


CORE = np.array([0.25, 0.35, 0.75, 0.85])  # part of a box that shows the object itself: x0 y0 x1 y1 as shares
LEAST_POINTS = 3
GRID = 24  # pixels of a depth image looked at in a box, across and down
ROAD_CLEARANCE = 0.25  # metres above the road, under which a lidar point belongs to the road
NEARER = 0.1  # of a box's height that another one reaches lower: then it stands in front
DEPTH_SHARE, LIDAR_SIGMA = 0.02, 0.15  # one sigma along the line of sight: share of the depth, metres
CLOSING = 5.0  # m/s, how fast ranges change between the sensor's time and the image's: one sigma


def with_ranges(objects: Objects, ranges: Ranges, camera: Camera, classes: tuple[str, ...]) -> Objects:
    """Positions from other sensors for what stands on the road, where they see it; a lidar before a depth image."""
    if ranges.depth is not None:
        objects = with_depth(objects, ranges.depth, camera, classes)
    if ranges.cloud is not None:
        objects = with_lidar(objects, ranges.cloud, camera, classes)
    return objects


def with_depth(objects: Objects, depth: Depth, camera: Camera, classes: tuple[str, ...]) -> Objects:
    """Positions from a depth image where it sees the object."""
    sampled = [_samples(box, depth.metres, camera) for box in objects.boxes]
    found = _front_of_each(objects.boxes, sampled)
    found[HANGING.lookup(objects.classes, classes)] = np.nan
    return _ranged(objects, found, np.hypot(DEPTH_SHARE * found, CLOSING * depth.age), camera, PositionMethod.DEPTH)


def with_lidar(objects: Objects, cloud: Cloud, camera: Camera, classes: tuple[str, ...]) -> Objects:
    """Positions from lidar points where enough of them lie on the object."""
    boxes = _boxes_of_rays(objects.boxes, camera)
    rays, depths = _in_sight(cloud.points, boxes, camera.pose)
    sampled = [(rays[:, rows], depths[rows]) for rows in (_within(rays, _core(box)) for box in boxes)]
    found = _front_of_each(boxes, sampled)
    found[HANGING.lookup(objects.classes, classes)] = np.nan
    along = np.full(len(found), np.hypot(LIDAR_SIGMA, CLOSING * cloud.age))
    return _ranged(objects, found, along, camera, PositionMethod.LIDAR)


def _boxes_of_rays(boxes: np.ndarray, camera: Camera) -> np.ndarray:
    """(N, 4) boxes in x y of rays: few corners are turned into rays instead of many points into pixels."""
    rays = camera.rays_from_pixels(boxes[:, [0, 1, 2, 1, 0, 3, 2, 3]].reshape(-1, 2))[:, :2].reshape(-1, 4, 2)
    return np.concatenate((rays.min(axis=1), rays.max(axis=1)), axis=1)


def _in_sight(points: np.ndarray, boxes: np.ndarray, base_from_camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(2, M) rays and (M,) depths of those of (P, 3) points that may lie in one of the boxes, and not on the road."""
    sound = boxes[np.isfinite(boxes).all(axis=1)]
    if not len(sound):
        return np.zeros((2, 0)), np.zeros(0)
    (left, top), (right, bottom) = sound[:, :2].min(axis=0), sound[:, 2:].max(axis=0)
    x, y, z = points.T
    inside = (z > 0) & (z < MAX_RANGE) & (x > left * z) & (x < right * z) & (y > top * z) & (y < bottom * z)
    seen = points.T.take(np.flatnonzero(inside), axis=1).astype(float)
    above = base_from_camera[2, :3] @ seen + base_from_camera[2, 3] > ROAD_CLEARANCE
    return (seen[:2] / seen[2])[:, above], seen[2, above]


def _samples(box: np.ndarray, metres: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """(2, M) pixels u v of the image in the core of a box, and their (M,) depths; a grid where there are many."""
    height, width = metres.shape
    scale = np.array([width / camera.width, height / camera.height])
    x0, y0, x1, y1 = np.clip(_core(box) * np.tile(scale, 2), 0, (width, height) * 2).astype(int)
    across, down = max(1, (x1 - x0) // GRID), max(1, (y1 - y0) // GRID)
    v, u = np.mgrid[y0:y1:down, x0:x1:across].reshape(2, -1)
    return (np.stack((u, v)) + 0.5) / scale[:, None], metres[y0:y1:down, x0:x1:across].ravel()


def _core(box: np.ndarray) -> np.ndarray:
    size = (box[2:] - box[:2]).astype(float)
    return np.concatenate((box[:2], box[:2])) + CORE * np.concatenate((size, size))


def _within(places: np.ndarray, box: np.ndarray) -> np.ndarray:
    """(M,) bool: which of (2, M) x y lie in a box."""
    (x, y), (x0, y0, x1, y1) = places, box
    return np.asarray((x >= x0) & (x <= x1) & (y >= y0) & (y <= y1))


def _front_of_each(boxes: np.ndarray, sampled: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """(N,) depths of objects, nan where unknown; what lies in the box of something nearer is not theirs.

    sampled  of each object x y (2, M), in the boxes' units, and depths (M,)
    """
    found, bottom = np.full(len(boxes), np.nan), boxes[:, 3]
    for row, (places, depths) in enumerate(sampled):
        nearer = bottom > bottom[row] + NEARER * (bottom[row] - boxes[row, 1])
        covered = np.zeros(len(depths), bool)
        for other in boxes[nearer]:
            covered |= _within(places, other)
        found[row] = _nearest_cluster(depths[~covered])
    return found


def _nearest_cluster(depths: np.ndarray) -> float:
    """The median of depths that lie together with the lower quartile: what stands behind the object is left out."""
    depths = np.sort(depths[(depths > 0) & (depths < MAX_RANGE)])
    if len(depths) < LEAST_POINTS:
        return np.nan
    front = depths[len(depths) // 4]
    near = depths[np.abs(depths - front) < 1.0 + 0.05 * front]
    return float(near[len(near) // 2])


def _ranged(objects: Objects, found: np.ndarray, along: np.ndarray, camera: Camera, method: PositionMethod) -> Objects:
    """The objects at depths found (N,), with standard deviations along the line of sight (N,); nan leaves one alone."""
    rays = camera.rays_from_pixels((objects.boxes[:, :2] + objects.boxes[:, 2:]) / 2)
    rows = np.flatnonzero(np.isfinite(found) & np.isfinite(rays).all(axis=1))
    if not len(rows):
        return objects
    boxes, pose, depths = objects.boxes[rows].astype(float), camera.pose, found[rows]
    place = ((rays[rows] * depths[:, None]) @ pose[:3, :3].T + pose[:3, 3])[:, :2]
    across = depths / camera.pixel_from_camera[0, 0] * (1.0 + 0.015 * (boxes[:, 2] - boxes[:, 0]))
    across = np.hypot(across, np.where(objects.truncated[rows] & SIDES, CUT_DOUBT, 0.0))
    names = "positions", "position_covs", "position_methods", "ground_widths"
    columns = {name: getattr(objects, name).copy() for name in names}
    columns["positions"][rows] = np.c_[place, np.zeros(len(rows))]
    columns["position_covs"][rows] = _oriented(place - pose[:2, 3], along[rows], across)
    columns["position_methods"][rows] = method
    columns["ground_widths"][rows] = visible_widths(objects[rows], place, camera)
    return replace(objects, **columns)


def _oriented(direction: np.ndarray, along: np.ndarray, across: np.ndarray) -> np.ndarray:
    """(N, 2, 2) covariances with these standard deviations along and across (N, 2) directions."""
    forward = direction / np.linalg.norm(direction, axis=1, keepdims=True)
    left = np.c_[-forward[:, 1], forward[:, 0]]
    axes = np.stack((forward * along[:, None], left * across[:, None]), axis=2)
    return axes @ axes.transpose(0, 2, 1)
