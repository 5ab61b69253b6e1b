"""The free road as a polygon on the ground, for planners.

It never covers cells that the mask marks as not drivable, and ends where range becomes unreliable. A thin obstacle ends
the free space; isolated far columns, between two cars or past a speck of the mask, are clipped.
"""

from __future__ import annotations

import cv2
import numpy as np

from camera_perception import core
from camera_perception.core.types import Road
from camera_perception.geometry.camera import MIN_DESCENT, Camera
from camera_perception.geometry.ground import DEFAULT_NOISE, GroundNoise, reliable_range

MAX_RANGE = 80.0  # metres up to which the free road is followed
MAX_RELATIVE_STD = 0.25  # standard deviation relative to range, above which nothing is reported as free
CLOSING_KERNEL = np.ones((3, 1), np.uint8)  # columns; fewer adjacent far columns are clipped to their neighbours
HALF_WIDTH = 1.0  # metres, of the ego car
BOTTOM_POINTS = 9  # points along the lowest image row, which lens distortion bends on the road
BOTTOM_FRACTIONS = np.linspace(0, 1, BOTTOM_POINTS)
EDGE_FRACTIONS = np.linspace(0, 1, 9)[:, None, None]  # along each edge of the border


def locate_road(
    road: Road,
    camera: Camera | None,
    image_size: tuple[int, int] | None = None,
    noise: GroundNoise = DEFAULT_NOISE,
) -> Road:
    """Locate the free road on the ground, and the free distance along the ego path within the reliable range.

    image_size  (height, width), by default that of the camera
    """
    if camera is None or not len(road.boundary):
        return road
    height = camera.height if image_size is None else image_size[0]
    max_range = min(MAX_RANGE, reliable_range(camera, noise, MAX_RELATIVE_STD))
    if core.kernels is not None and not camera.has_distortion:
        return _located_compiled(road, camera, height - 1.0, max_range)
    ends = _project_clipped(_outline_pixels(road.boundary, height - 1.0), camera, max_range)
    near, far = (edge[np.isfinite(edge[:, 0])] for edge in (ends[:BOTTOM_POINTS], ends[BOTTOM_POINTS:]))
    if min(len(near), len(far)) < 2:
        return road
    polygon = np.concatenate((near, far[::-1]))
    return Road(road.boundary, polygon.astype(np.float32), _free_distance(far, max_range), road.coverage)


def _located_compiled(road: Road, camera: Camera, bottom: float, max_range: float) -> Road:
    k, polygon = camera.pixel_from_camera, np.empty((len(road.boundary) + BOTTOM_POINTS + 1, 2), np.float32)
    view = np.array(
        (*camera.pose.ravel(), k[0, 0], k[1, 1], k[0, 2], k[1, 2], bottom, max_range, MIN_DESCENT, HALF_WIDTH)
    )
    count, ahead = core.kernels.free_road(np.ascontiguousarray(road.boundary, np.float32), view, polygon)
    return Road(road.boundary, polygon[:count], ahead, road.coverage) if count else road


def _outline_pixels(boundary: np.ndarray, bottom: float) -> np.ndarray:
    """(BOTTOM_POINTS + C + 1, 2) u v, left to right: the lowest image row, then the border (C, 2) column by column.

    Between two columns the nearer border counts, and isolated far columns are clipped, so that straight edges never
    leave the free area.
    """
    u = boundary[:, 0]
    v = cv2.morphologyEx(np.ascontiguousarray(boundary[:, 1:]), cv2.MORPH_CLOSE, CLOSING_KERNEL)[
        :, 0
    ]  # v grows towards the car
    pixels = np.empty((BOTTOM_POINTS + len(u) + 1, 2))
    near, far = pixels[:BOTTOM_POINTS], pixels[BOTTOM_POINTS:]
    near[:, 0], near[:, 1] = u[0] + BOTTOM_FRACTIONS * (u[-1] - u[0]), bottom
    far[0], far[1:-1, 0], far[-1] = (u[0], v[0]), (u[1:] + u[:-1]) / 2, (u[-1], v[-1])
    np.maximum(v[1:], v[:-1], out=far[1:-1, 1])
    np.minimum(far[:, 1], bottom, out=far[:, 1])
    return pixels


def _project_clipped(pixels: np.ndarray, camera: Camera, max_range: float) -> np.ndarray:
    """(N, 2) u v -> (N, 2) metres on the road, clipped to max_range from the camera in the same direction."""
    pose = camera.pose
    rays = camera.rays_from_pixels(pixels) @ pose[:3, :3].T
    x, y, z = rays.T
    scale = np.minimum(max_range / np.hypot(x, y), pose[2, 3] / np.maximum(-z, MIN_DESCENT))
    ground: np.ndarray = pose[:2, 3] + rays[:, :2] * scale[:, None]
    return ground


def _free_distance(far: np.ndarray, max_range: float) -> float:
    """Smallest distance of the border within the car's width, with straight edges; nan when no edge crosses it."""
    dense = (far[:-1] * (1 - EDGE_FRACTIONS) + far[1:] * EDGE_FRACTIONS).reshape(-1, 2)
    ahead = dense[(np.abs(dense[:, 1]) < HALF_WIDTH) & (dense[:, 0] > 0), 0]
    return float(min(ahead.min(), max_range)) if len(ahead) else float("nan")
