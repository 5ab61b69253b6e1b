"""Lane lines and drivable road in the image plane: order, roles, resampling, the boundary of the road."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from math import ceil
from operator import itemgetter

import cv2
import numpy as np

from camera_perception.core.types import ClassMap, LaneLine, LineColor, LineType, Road

BACKGROUND = "background"


def line_type(name: str) -> LineType:
    """LineType of "solid_dashed" and the like; UNKNOWN for names that are none."""
    return LineType.__members__.get(name.upper(), LineType.UNKNOWN)


def line_color(name: str) -> LineColor:
    """LineColor of "white" and the like; UNKNOWN for names that are none."""
    return LineColor.__members__.get(name.upper(), LineColor.UNKNOWN)


def inside(points: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """(...,) bool: which of points (..., 2) u v are inside an image (H, W); nan and infinity are not."""
    height, width = image_size
    u, v = points[..., 0], points[..., 1]
    return (u >= 0) & (u <= width) & (v >= 0) & (v <= height)


def u_at(line: LaneLine, v: float) -> float:
    """Where the line crosses row v; beyond its ends it goes on straight, in the direction of its nearest points."""
    return _u_at(_downwards(line), v)


def _downwards(line: LaneLine) -> list[list[float]]:
    """Its points, the lowest of the image last."""
    return sorted(line.points.tolist(), key=itemgetter(1))


def _u_at(points: list[list[float]], v: float) -> float:
    if v > points[-1][1]:
        return _straight(points[-END:], v)
    if v < points[0][1]:
        return _straight(points[:END], v)
    after = bisect_right(points, v, key=itemgetter(1))
    (u0, v0), (u1, v1) = points[after - 1], points[min(after, len(points) - 1)]
    return u0 + (u1 - u0) * (v - v0) / (v1 - v0) if v1 > v0 else u0


END = 8  # points that tell the direction of a line's end


def _straight(points: list[list[float]], v: float) -> float:
    """Where the straight line through points crosses row v. Of so few, plain numbers take a fifth of numpy's time."""
    columns, rows = zip(*points)
    middle_u, middle_v = sum(columns) / len(points), sum(rows) / len(points)
    apart = [row - middle_v for row in rows]
    spread = sum([off * off for off in apart])
    slope = sum([off * (u - middle_u) for off, u in zip(apart, columns)]) / max(spread, 1e-9)
    return middle_u + slope * (v - middle_v)


def resample(line: LaneLine, count: int) -> LaneLine:
    """The same line with `count` points, evenly spaced along its length in the image, ends kept."""
    steps = np.hypot(*np.diff(line.points, axis=0).T)
    along = np.concatenate(([0.0], np.cumsum(steps)))
    wanted = np.linspace(0, along[-1], count)
    points = np.column_stack([np.interp(wanted, along, line.points[:, axis]) for axis in (0, 1)])
    return replace(line, points=points.astype(np.float32))


def left_to_right(lines: Iterable[LaneLine]) -> tuple[LaneLine, ...]:
    """Lines in the order of their crossing of the lowest row that any of them reaches."""
    placed = [(line, _downwards(line)) for line in lines]
    bottom = max((points[-1][1] for _, points in placed), default=0.0)
    return tuple(line for line, _ in sorted(placed, key=lambda each: _u_at(each[1], bottom)))


def assign_positions(lines: Iterable[LaneLine], image_size: tuple[int, int]) -> tuple[LaneLine, ...]:
    """Lines left to right with positions counted outwards from the middle of the image's bottom row.

    For networks that find lines but not their roles. It supposes a camera that looks ahead, near the car's middle.
    """
    height, width = image_size
    crossings = sorted(((u_at(line, height), line) for line in lines), key=lambda pair: pair[0])
    left = sum(u < width / 2 for u, _ in crossings)
    positions = (*range(-left, 0), *range(1, len(crossings) - left + 1))
    return tuple(replace(line, position=position) for position, (_, line) in zip(positions, crossings))


def drivable_cells(drivable: ClassMap) -> np.ndarray:
    """(h, w) bool: cells of any class but the background."""
    return cv2.LUT(drivable.ids, _drivable_ids(drivable.names)).view(bool)


@lru_cache(maxsize=8)
def _drivable_ids(names: tuple[str, ...]) -> np.ndarray:
    """(256,) uint8: 1 for ids of any class but the background."""
    table = np.zeros(256, np.uint8)
    table[: len(names)] = [name != BACKGROUND for name in names]
    return table


def road_from_drivable(drivable: ClassMap, image_size: tuple[int, int], columns: int = 64) -> Road:
    """Boundary and coverage of the drivable area in an image (H, W); the metric fields stay unknown."""
    cells = drivable_cells(drivable)
    border, coverage = boundary(cells, image_size, columns), cv2.countNonZero(cells.view(np.uint8)) / cells.size
    return Road(border, np.zeros((0, 2), np.float32), float("nan"), coverage)


def boundary(cells: np.ndarray, image_size: tuple[int, int], columns: int = 64) -> np.ndarray:
    """Where free road ends, looking up from the bottom of the image.

    cells   (h, w) bool, over the whole image
    returns (C, 2) float32 u v, left to right, the middles of as many strips, at most one per column of cells: lower
            border of the lowest cell of the strip that is not drivable; v = H where not even the lowest row is, v = 0
            where the whole strip is
    """
    rows, width = cells.shape
    middles, window, u = _strips(width, min(columns, width), image_size[1])
    below = np.arange(1, rows + 1, dtype=np.uint16)[:, None]  # the row under each
    lowest = (~cells * below).max(axis=0)  # of each column: the row under its lowest cell that is not drivable
    border = np.empty((len(u), 2), np.float32)
    border[:, 0], border[:, 1] = u, cv2.dilate(lowest[None], window)[0, middles] * (image_size[0] / rows)
    return border


@lru_cache(maxsize=8)
def _strips(width: int, count: int, pixels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The middle column of each strip, what reaches over a strip as a kernel, and the middles in pixels."""
    middles = ((np.arange(count) + 0.5) * width / count).astype(int)
    # Strips whose middles lie a step apart leave no column of cells out.
    step = width / count
    window = np.ones((1, 2 * ceil(step / 2) + 1 if step > 1 else 1), np.uint8)
    return middles, window, (middles + 0.5) * pixels / width
