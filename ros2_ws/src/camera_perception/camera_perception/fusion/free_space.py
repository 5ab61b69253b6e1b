"""Merge the free road of several cameras into one polygon and into an occupancy grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

UNKNOWN, FREE, OCCUPIED = -1, 0, 100  # values of nav_msgs/OccupancyGrid
MAX_RANGE = 85.0  # metres around the car within which polygons are merged
CELL_SIZE = 0.5  # metres
OPENING_KERNEL = np.ones((3, 3), np.uint8)  # cells


@dataclass(frozen=True, slots=True)
class Grid:
    """Grid of the road; cell (row, column) starts at origin + (column, row) * resolution, x along columns.

    cells      (H, W) int8 UNKNOWN, FREE or OCCUPIED
    resolution metres
    origin     x y of the corner of cell (0, 0), metres in base_link
    """

    cells: np.ndarray
    resolution: float
    origin: tuple[float, float]


def occupancy(
    polygons: Sequence[np.ndarray],
    footprints: Sequence[np.ndarray],
    size: tuple[float, float] = (100.0, 60.0),
    behind: float = 20.0,
    resolution: float = 0.5,
) -> Grid:
    """Free inside polygons (M, 2), occupied inside object footprints (4, 2), otherwise unknown.

    size    metres along x and y
    behind  metres of size that lie behind the car
    """
    shape = round(size[1] / resolution), round(size[0] / resolution)
    origin = -behind, -size[1] / 2
    canvas = np.zeros(shape, np.uint8)
    for value, outlines in ((1, polygons), (2, footprints)):
        for outline in outlines:
            if _is_valid(outline):
                cv2.fillPoly(canvas, [_to_fixed_point(outline, origin, resolution)], value, shift=4)
    return Grid(np.array((UNKNOWN, FREE, OCCUPIED), np.int8)[canvas], resolution, origin)


def merge_polygons(polygons: Sequence[np.ndarray]) -> np.ndarray:
    """Merge polygons (M, 2): the border of the largest connected part of their union, to CELL_SIZE metres.

    Parts narrower than any car are removed.
    """
    polygons = [polygon for polygon in polygons if _is_valid(polygon)]
    if len(polygons) < 2:
        return polygons[0] if polygons else np.zeros((0, 2), np.float32)
    corners = np.concatenate(polygons)
    low, high = (
        np.clip(each, -MAX_RANGE, MAX_RANGE) for each in (np.floor(corners.min(0)) - 1, np.ceil(corners.max(0)) + 1)
    )
    canvas = np.zeros(np.rint((high - low) / CELL_SIZE).astype(int)[::-1], np.uint8)  # no larger than needed
    fixed = _to_fixed_point(corners, tuple(low), CELL_SIZE)
    end = 0
    for polygon in polygons:
        start, end = end, end + len(polygon)
        cv2.fillPoly(canvas, [fixed[start:end]], 1, shift=4)
    opened = cv2.morphologyEx(canvas, cv2.MORPH_OPEN, OPENING_KERNEL)
    borders, _ = cv2.findContours(opened, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not borders:
        return np.zeros((0, 2), np.float32)
    border = cv2.approxPolyDP(max(borders, key=cv2.contourArea), 1.0, True).reshape(-1, 2)
    merged: np.ndarray = ((border + 0.5) * CELL_SIZE + low).astype(np.float32)
    return merged


def _is_valid(outline: np.ndarray) -> bool:
    return len(outline) >= 3 and bool(np.isfinite(outline).all())


def _to_fixed_point(points: np.ndarray, origin: tuple[float, float], resolution: float) -> np.ndarray:
    """Metres to OpenCV's fixed point, sixteenths of a cell; whole numbers are cell centres."""
    cells = (np.asarray(points, float) - origin) / resolution - 0.5
    return np.rint(np.clip(cells, -1e4, 1e4) * 16).astype(np.int32)
