"""Relevance of traffic lights for the ego lane without a map, from their positions and the course of the lane."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite

import numpy as np

from camera_perception import core
from camera_perception.core.types import LaneLine, Objects, Relevance
from camera_perception.geometry.camera import Camera
from camera_perception.lanes.roles import LANE_WIDTH, MAX_START_X, y_on
from camera_perception.objects.config import DEFAULT_LOCALIZATION, LocalizationConfig


def light_relevances(
    objects: Objects,
    light_class: int,
    lanes: Sequence[LaneLine],
    camera: Camera | None,
    config: LocalizationConfig = DEFAULT_LOCALIZATION,
) -> np.ndarray:
    """(N,) uint8 Relevance: EGO, OTHER, and UNKNOWN for other classes and lights whose position is unclear."""
    if core.kernels is not None and camera is not None and not camera.has_distortion:
        return _compiled_relevances(objects, light_class, lanes, camera, config)
    found = np.zeros(len(objects), np.uint8)
    rows = np.flatnonzero(objects.classes == light_class)
    if camera is None or not len(rows):
        return found
    positions = light_positions(objects.boxes[rows].astype(float), camera, config.light_size).tolist()
    own = _own_lines(lanes)
    found[rows] = [int(_relevance(x, y, z, own, config)) for x, y, z in positions]
    return found


# What the compiled twin reads, in this order.
SETTINGS = (
    "light_size", "min_light_height", "max_light_height", "lane_range", "ego_light_margin", "other_light_margin",
)  # fmt: skip


def _compiled_relevances(
    objects: Objects, light_class: int, lanes: Iterable[LaneLine], camera: Camera, config: LocalizationConfig
) -> np.ndarray:
    found, k, own = np.empty(len(objects), np.uint8), camera.pixel_from_camera, np.zeros((2, 7))
    for side, (poly, x_min, x_max) in _own_lines(lanes).items():
        own[int(side > 0)] = 1, *poly, x_min, x_max
    settings = core.settings(config, *SETTINGS)
    lens = k[0, 0], k[1, 1], k[0, 2], k[1, 2]
    values = np.concatenate((camera.pose.ravel(), lens, settings, (LANE_WIDTH, MAX_START_X)))
    core.kernels.light_relevances(objects.boxes, objects.classes, light_class, own, values, found)
    return found


def light_positions(
    boxes: np.ndarray, camera: Camera, light_size: float = DEFAULT_LOCALIZATION.light_size
) -> np.ndarray:
    """(N, 3) metres in base_link of lights in boxes (N, 4), from the size of their housing; nan behind the car."""
    longer = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    rays = camera.rays_from_pixels((boxes[:, :2] + boxes[:, 2:]) / 2)
    depth = camera.pixel_from_camera[1, 1] * light_size / np.maximum(longer, 1e-3)
    positions = (rays * depth[:, None]) @ camera.pose[:3, :3].T + camera.pose[:3, 3]
    positions[positions[:, 0] <= 0] = np.nan
    return np.asarray(positions)


Course = tuple[list[float], float, float]  # of a line: c0..c3, first and last x


def _relevance(x: float, y: float, z: float, own: Mapping[int, Course], config: LocalizationConfig) -> Relevance:
    if not isfinite(x) or not config.min_light_height < z < config.max_light_height + 0.05 * x:
        return Relevance.UNKNOWN
    left, right = _edges_at(own, x, config.lane_range)
    outside = max(y - left, right - y)
    if outside < config.ego_light_margin:
        return Relevance.EGO
    return Relevance.OTHER if outside > config.other_light_margin else Relevance.UNKNOWN


def lane_edges(lanes: Sequence[LaneLine], x: float, lane_range: float) -> tuple[float, float]:
    """Left and right edge of the ego lane x metres ahead; straight ahead of the car without lines."""
    return _edges_at(_own_lines(lanes), x, lane_range)


def _own_lines(lanes: Iterable[LaneLine]) -> dict[int, Course]:
    """The lines of the ego lane on the road: position, -1 or 1, to course."""
    own = {lane.position: lane.ground for lane in lanes if abs(lane.position) == 1 and lane.ground is not None}
    return {side: (ground.poly.tolist(), ground.x_min, ground.x_max) for side, ground in own.items()}


def _edges_at(own: Mapping[int, Course], x: float, lane_range: float) -> tuple[float, float]:
    edges = {side: _edge(*course, x, lane_range) for side, course in own.items()}
    if not edges:
        return LANE_WIDTH / 2, -LANE_WIDTH / 2
    left = edges.get(-1, edges.get(1, 0.0) + LANE_WIDTH)
    return left, edges.get(1, left - LANE_WIDTH)


def _edge(poly: list[float], x_min: float, x_max: float, x: float, lane_range: float) -> float:
    end = min(x_max, lane_range)
    if x <= end:
        return y_on(poly, x_min, x)
    last = y_on(poly, x_min, end)
    return last + (last - y_on(poly, x_min, end - 5.0)) / 5.0 * (x - end)
