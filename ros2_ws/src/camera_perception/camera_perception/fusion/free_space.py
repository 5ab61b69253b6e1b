"""The free road of several cameras as one polygon and as a grid of cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

UNKNOWN, FREE, OCCUPIED = -1, 0, 100  # of nav_msgs/OccupancyGrid
REACH = 85.0  # metres around the car that polygons are joined in
CELL = 0.5  # metres
NARROW = np.ones((3, 3), np.uint8)  # cells


@dataclass(frozen=True, slots=True)
class Grid:
    """Cells of the road; cell (row, column) begins at origin + (column, row) * resolution, x along columns.

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
    """Free where a polygon (M, 2) says so, occupied in the footprints (4, 2) of things, else unknown.

    size    metres along x and y
    behind  metres of it behind the car
    """
    shape = round(size[1] / resolution), round(size[0] / resolution)
    origin = -behind, -size[1] / 2
    canvas = np.zeros(shape, np.uint8)
    for value, outlines in ((1, polygons), (2, footprints)):
        for outline in outlines:
            if _sound(outline):
                cv2.fillPoly(canvas, [_fixed(outline, origin, resolution)], value, shift=4)
    return Grid(np.array((UNKNOWN, FREE, OCCUPIED), np.int8)[canvas], resolution, origin)


def joined(polygons: Sequence[np.ndarray]) -> np.ndarray:
    """Several polygons (M, 2) as one: the border of the largest connected part of their union, to CELL metres.

    What is narrower than any car is not part of it.
    """
    polygons = [polygon for polygon in polygons if _sound(polygon)]
    if len(polygons) < 2:
        return polygons[0] if polygons else np.zeros((0, 2), np.float32)
    corners = np.concatenate(polygons)
    low, high = (np.clip(each, -REACH, REACH) for each in (np.floor(corners.min(0)) - 1, np.ceil(corners.max(0)) + 1))
    canvas = np.zeros(np.rint((high - low) / CELL).astype(int)[::-1], np.uint8)  # no larger than needed
    for polygon in polygons:
        cv2.fillPoly(canvas, [_fixed(polygon, tuple(low), CELL)], 1, shift=4)
    wide = cv2.morphologyEx(canvas, cv2.MORPH_OPEN, NARROW)
    borders, _ = cv2.findContours(wide, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not borders:
        return np.zeros((0, 2), np.float32)
    border = cv2.approxPolyDP(max(borders, key=cv2.contourArea), 1.0, True).reshape(-1, 2)
    return ((border + 0.5) * CELL + low).astype(np.float32)


def _sound(outline: np.ndarray) -> bool:
    return len(outline) >= 3 and bool(np.isfinite(outline).all())


def _fixed(points: np.ndarray, origin: tuple[float, float], resolution: float) -> np.ndarray:
    """Metres to sixteenths of a cell, as OpenCV draws: whole numbers are middles of cells."""
    cells = (np.asarray(points, float) - origin) / resolution - 0.5
    return np.rint(np.clip(cells, -1e4, 1e4) * 16).astype(np.int32)
