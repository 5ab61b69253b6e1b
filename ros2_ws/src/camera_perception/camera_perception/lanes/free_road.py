"""The free road as a polygon on the ground, for planners: never free where the mask is not, no further than it is sure.

Strips of the image that alone see far, between two cars or past a speck of the mask, are no road to drive on: they do
not stick out. What stands on the road stays, however thin.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from camera_perception.core.types import Road
from camera_perception.geometry.camera import LEAST_DESCENT, Camera
from camera_perception.geometry.ground import DEFAULT_NOISE, GroundNoise, reliable_range

ROAD_REACH = 80.0  # metres, how far a free road is followed
MAX_SHARE = 0.25  # standard deviation of range as share of it, beyond which nothing is said to be free
WINDOW = np.ones((3, 1), np.uint8)  # strips; fewer side by side see no further than those beside them
HALF_WIDTH = 1.0  # metres of the own car
EDGE = 9  # points along the lowest row of the image: it is straight on the road unless the lens bends it
SHARES = np.linspace(0, 1, EDGE)
STEPS = np.linspace(0, 1, 9)[:, None, None]  # from one end of the border to the next


def locate_road(
    road: Road,
    camera: Camera | None,
    image_size: tuple[int, int] | None = None,
    noise: GroundNoise = DEFAULT_NOISE,
) -> Road:
    """The free road on the ground, and how far the own path is free (at most to where the range is sure).

    image_size  (height, width); that of the camera when not given
    """
    if camera is None or not len(road.boundary):
        return road
    height = camera.height if image_size is None else image_size[0]
    reach = min(ROAD_REACH, reliable_range(camera, noise, MAX_SHARE))
    ends = _cut_off(_outline(road.boundary, height - 1.0), camera, reach)
    near, far = (edge[np.isfinite(edge[:, 0])] for edge in (ends[:EDGE], ends[EDGE:]))
    if min(len(near), len(far)) < 2:
        return road
    polygon = np.concatenate((near, far[::-1]))
    return replace(road, polygon=polygon.astype(np.float32), free_distance_ahead=_free_ahead(far, reach))


def _outline(boundary: np.ndarray, bottom: float) -> np.ndarray:
    """(EDGE + C + 1, 2) u v, left to right: the lowest row of the image, then the border (C, 2) from strip to strip.

    Between two strips it is that of the nearer, and strips that stick out are cut: a straight line from one to the next
    never leaves what is free between them.
    """
    u = boundary[:, 0]
    v = cv2.morphologyEx(np.ascontiguousarray(boundary[:, 1:]), cv2.MORPH_CLOSE, WINDOW)[:, 0]  # v grows towards us
    pixels = np.empty((EDGE + len(u) + 1, 2))
    near, far = pixels[:EDGE], pixels[EDGE:]
    near[:, 0], near[:, 1] = u[0] + SHARES * (u[-1] - u[0]), bottom
    far[0], far[1:-1, 0], far[-1] = (u[0], v[0]), (u[1:] + u[:-1]) / 2, (u[-1], v[-1])
    np.maximum(v[1:], v[:-1], out=far[1:-1, 1])
    np.minimum(far[:, 1], bottom, out=far[:, 1])
    return pixels


def _cut_off(pixels: np.ndarray, camera: Camera, longest: float) -> np.ndarray:
    """(N, 2) u v -> metres on the road, at most so many from the camera in the same direction."""
    pose = camera.pose
    rays = camera.rays_from_pixels(pixels) @ pose[:3, :3].T
    x, y, z = rays.T
    scale = np.minimum(longest / np.hypot(x, y), pose[2, 3] / np.maximum(-z, LEAST_DESCENT))
    return pose[:2, 3] + rays[:, :2] * scale[:, None]


def _free_ahead(far: np.ndarray, reach: float) -> float:
    """Least distance of the border within the car's width; straight between neighbours; nan when none crosses it."""
    dense = (far[:-1] * (1 - STEPS) + far[1:] * STEPS).reshape(-1, 2)
    ahead = dense[(np.abs(dense[:, 1]) < HALF_WIDTH) & (dense[:, 0] > 0), 0]
    return float(min(ahead.min(), reach)) if len(ahead) else float("nan")
