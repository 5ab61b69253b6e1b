"""Flat ground in front of a camera: where objects can stand, how large they appear there, and what hides them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from perception_models.data.labels import IGNORE, OBJECTS, SEMANTIC
from perception_models.data.sample import Boxes, Sample

CAMERA_HEIGHT = 1.4  # metres, for images without calibration
FOCAL = 0.9  # image widths, the same
HEIGHTS = {"car": 1.5, "truck": 2.9, "bus": 3.1, "pedestrian": 1.7, "rider": 1.75, "motorcycle": 1.2, "bicycle": 1.1}
SKY, SIDEWALK, ROAD = (SEMANTIC.index(name) for name in ("sky", "sidewalk", "road"))
VEGETATION, VEHICLE = SEMANTIC.index("vegetation"), SEMANTIC.index("vehicle")
BEHIND = 0.025  # of the image height between the foot of a vehicle and the feet of somebody behind it
_TYPICAL = np.array([HEIGHTS.get(name, np.nan) for name in OBJECTS])


@dataclass(frozen=True)
class Ground:
    """A camera above flat ground.

    horizon  row at the left edge of the image, and rows per column: lines of equal distance are parallel to it
    height   of the camera, metres
    focal    pixels
    """

    horizon: tuple[float, float]
    height: float
    focal: float

    def row(self, column: float, distance: float) -> float:
        """Row of the ground at a distance in metres."""
        return self.horizon[0] + self.horizon[1] * column + self.focal * self.height / distance

    def scale(self, column: float, row: float) -> float:
        """Pixels per metre of an object that stands on the ground in this row; 0 at the horizon and above."""
        return max(row - self.horizon[0] - self.horizon[1] * column, 0.0) / self.height


def ground_of(sample: Sample) -> Ground | None:
    """From the calibration, or from the boxes of an image without one; None where neither tells."""
    if sample.intrinsics is not None and sample.base_from_camera is not None:
        return _calibrated(sample.intrinsics, sample.base_from_camera)
    focal = float(sample.intrinsics[1, 1]) if sample.intrinsics is not None else FOCAL * sample.size[1]
    row = horizon_from_boxes(sample.boxes, sample.size) if sample.boxes is not None else None
    if row is None and sample.drivable is not None:
        rows = np.flatnonzero(((sample.drivable == 1) | (sample.drivable == 2)).mean(1) > 0.005)
        row = float(rows[0]) - 0.01 * sample.size[0] if len(rows) else None
    if row is None or not 0.1 < row / sample.size[0] < 0.8:
        return None
    return Ground((row, 0.0), CAMERA_HEIGHT, focal)


def _calibrated(intrinsics: np.ndarray, base_from_camera: np.ndarray) -> Ground | None:
    ahead = base_from_camera[:2, 2]
    if np.hypot(*ahead) < 0.5 or base_from_camera[2, 3] <= 0.3:
        return None
    pixels = []
    for turn in (-0.2, 0.2):
        azimuth = np.arctan2(ahead[1], ahead[0]) + turn
        ray = intrinsics @ base_from_camera[:3, :3].T @ (np.cos(azimuth), np.sin(azimuth), 0)
        pixels.append(ray[:2] / ray[2])
    (u0, v0), (u1, v1) = pixels
    slope = float((v1 - v0) / (u1 - u0))
    return Ground((float(v0 - slope * u0), slope), float(base_from_camera[2, 3]), float(intrinsics[1, 1]))


def horizon_from_boxes(boxes: Boxes, size: tuple[int, int]) -> float | None:
    """Row at which the heights of certain boxes that the image does not cut shrink to nothing; None without two."""
    sides, metres = boxes.boxes, _TYPICAL[boxes.classes]
    tall = sides[:, 3] - sides[:, 1]
    whole = (sides[:, 0] > 2) & (sides[:, 1] > 2) & (sides[:, 2] < size[1] - 2) & (sides[:, 3] < size[0] - 2)
    used = whole & ~boxes.ignored & np.isfinite(metres) & (tall > 0.02 * size[0])
    if used.sum() < 2:
        return None
    return float(np.median(sides[used, 3] - tall[used] * CAMERA_HEIGHT / metres[used]))


@dataclass(frozen=True)
class Surfaces:
    """What an image shows of the ground.

    road, pavement  (H, W) bool: where vehicles, and where people can stand
    behind          (H, W) bool: ground that a vehicle hides
    base            (H, W) int16 row at which each thing that stands on the ground meets it, -1 for ground and sky
    lowest          (W,) int16 lowest row that neither the own car nor one cut by the lower edge covers
    """

    road: np.ndarray
    pavement: np.ndarray
    behind: np.ndarray
    base: np.ndarray
    lowest: np.ndarray


def surfaces_of(sample: Sample, ground: Ground) -> Surfaces | None:
    """From the semantic map, or from the drivable mask and the boxes; None without either."""
    height, width = sample.size
    if sample.semantic is not None:
        semantic = sample.semantic
        base = _bases(semantic, ground)
        lowest = (height - 1 - _own_car(semantic)).astype(np.int16)
        behind = (semantic == VEHICLE) & _hidden(base) & (np.arange(height)[:, None] <= lowest)
        return Surfaces(semantic == ROAD, semantic == SIDEWALK, behind, base, lowest)
    if sample.drivable is None or sample.boxes is None:
        return None
    road = (sample.drivable == 1) | (sample.drivable == 2)
    beside = cv2.dilate(road.astype(np.uint8), np.ones((1, max(width // 12, 3)), np.uint8)) > 0
    base = np.full(sample.size, -1, np.int16)
    for x0, y0, x1, y1 in np.rint(sample.boxes.boxes).astype(int):
        area = np.s_[max(y0, 0) : y1, max(x0, 0) : x1]
        np.maximum(base[area], y1, out=base[area])
        road[area] = beside[area] = False
    return Surfaces(road, beside & ~road, _hidden(base), base, np.full(width, height - 1, np.int16))


def _hidden(base: np.ndarray) -> np.ndarray:
    """(H, W) bool: ground so far behind a thing that somebody can stand there."""
    height = base.shape[0]
    hidden: np.ndarray = base > np.arange(height, dtype=np.int16)[:, None] + round(BEHIND * height)
    return hidden


def _own_car(semantic: np.ndarray) -> np.ndarray:
    """(W,) rows at the lower edge that are vehicle or have no label."""
    other = ~np.isin(semantic[::-1], (IGNORE, VEHICLE))
    return np.asarray(np.where(other.any(0), other.argmax(0), semantic.shape[0] - 1))


def _bases(semantic: np.ndarray, ground: Ground) -> np.ndarray:
    """Of each pixel that is neither ground nor sky, the first row of ground below it."""
    height, width = semantic.shape
    on_ground = (semantic == ROAD) | (semantic == SIDEWALK)
    rows = np.where(on_ground, np.arange(height, dtype=np.int16)[:, None], np.int16(height))
    base: np.ndarray = np.minimum.accumulate(rows[::-1], 0)[::-1].copy()
    horizon = ground.horizon[0] + ground.horizon[1] * np.arange(width)
    # Grass is ground, trees are not: the map calls both vegetation.
    grass = (semantic == VEGETATION) & (np.arange(height)[:, None] > horizon)
    base[on_ground | (semantic == SKY) | grass] = -1
    return base
