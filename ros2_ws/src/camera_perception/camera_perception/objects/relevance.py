"""Which traffic lights govern the own lane, without a map: where a light hangs against where the own lane leads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from camera_perception.core.types import LaneLine, Objects, Relevance
from camera_perception.geometry.camera import Camera
from camera_perception.lanes.roles import LANE_WIDTH, y_at

HOUSING = 0.95  # metres, the long side of three lamps
HEIGHTS = 1.8, 9.0  # metres over the road, where lights for cars hang
BESIDE = 3.0  # metres beside the lane's edge, where its lights still stand
ELSEWHERE = 6.5  # metres beside the lane's edge, from where on they are another road's
LANE_HOLDS = 45.0  # metres ahead that lines are trusted; beyond, the lane goes on straight


def with_relevance(objects: Objects, light_class: int, lanes: Sequence[LaneLine], camera: Camera | None) -> np.ndarray:
    """(N,) uint8 Relevance: EGO, OTHER, and UNKNOWN for what is no light, or whose place cannot be told."""
    found = np.zeros(len(objects), np.uint8)
    rows = np.flatnonzero(objects.classes == light_class)
    if camera is None or not len(rows):
        return found
    places = light_places(objects.boxes[rows].astype(float), camera)
    for row, (x, y, z) in zip(rows, places):
        found[row] = _judged(x, y, z, lanes)
    return found


def light_places(boxes: np.ndarray, camera: Camera) -> np.ndarray:
    """(N, 3) metres in base_link of lights in boxes (N, 4), from the size of their housing; nan behind the car."""
    long = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    rays = camera.rays_from_pixels((boxes[:, :2] + boxes[:, 2:]) / 2)
    depth = camera.pixel_from_camera[1, 1] * HOUSING / np.maximum(long, 1e-3)
    places = (rays * depth[:, None]) @ camera.pose[:3, :3].T + camera.pose[:3, 3]
    places[places[:, 0] <= 0] = np.nan
    return places


def _judged(x: float, y: float, z: float, lanes: Sequence[LaneLine]) -> Relevance:
    if not np.isfinite(x) or not HEIGHTS[0] < z < HEIGHTS[1] + 0.05 * x:
        return Relevance.UNKNOWN
    left, right = lane_edges(lanes, x)
    outside = max(y - left, right - y)
    if outside < BESIDE:
        return Relevance.EGO
    return Relevance.OTHER if outside > ELSEWHERE else Relevance.UNKNOWN


def lane_edges(lanes: Sequence[LaneLine], x: float) -> tuple[float, float]:
    """Left and right edge of the own lane x metres ahead; straight ahead of the car without lines."""
    own = {lane.position: lane for lane in lanes if abs(lane.position) == 1 and lane.ground is not None}
    edges = {side: _edge(line, x) for side, line in own.items()}
    if not edges:
        return LANE_WIDTH / 2, -LANE_WIDTH / 2
    left = edges.get(-1, edges.get(1, 0.0) + LANE_WIDTH)
    return left, edges.get(1, left - LANE_WIDTH)


def _edge(line: LaneLine, x: float) -> float:
    if line.ground is None:
        return float("nan")
    end = min(line.ground.x_max, LANE_HOLDS)
    if x <= end:
        return y_at(line, x)
    slope = (y_at(line, end) - y_at(line, end - 5.0)) / 5.0
    return y_at(line, end) + slope * (x - end)
