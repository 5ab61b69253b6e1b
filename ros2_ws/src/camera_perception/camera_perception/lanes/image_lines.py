"""Lane lines and drivable area in the image plane: order, positions, resampling and road boundary."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from math import ceil
from operator import itemgetter

import cv2
import numpy as np

from camera_perception import core
from camera_perception.core.types import ClassMap, LaneLine, LineColor, LineType, Road

BACKGROUND = "background"


def line_type(name: str) -> LineType:
    """LineType by name, such as "solid_dashed"; UNKNOWN for other names."""
    return LineType.__members__.get(name.upper(), LineType.UNKNOWN)


def line_color(name: str) -> LineColor:
    """LineColor by name, such as "white"; UNKNOWN for other names."""
    return LineColor.__members__.get(name.upper(), LineColor.UNKNOWN)


def inside_image(points: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """(...,) bool: which points (..., 2) u v are inside an image (H, W); false for nan and infinity."""
    height, width = image_size
    u, v = points[..., 0], points[..., 1]
    return (u >= 0) & (u <= width) & (v >= 0) & (v <= height)


def u_at(line: LaneLine, v: float) -> float:
    """u where the line crosses row v; extrapolated straight beyond its ends."""
    return _u_at(_downwards(line), v)


def _downwards(line: LaneLine) -> list[list[float]]:
    """Points of the line from top to bottom of the image."""
    return sorted(line.points.tolist(), key=itemgetter(1))


def _u_at(points: list[list[float]], v: float) -> float:
    if v > points[-1][1]:
        return _extrapolate(points[-END_POINTS:], v)
    if v < points[0][1]:
        return _extrapolate(points[:END_POINTS], v)
    after = bisect_right(points, v, key=itemgetter(1))
    (u0, v0), (u1, v1) = points[after - 1], points[min(after, len(points) - 1)]
    return u0 + (u1 - u0) * (v - v0) / (v1 - v0) if v1 > v0 else u0


END_POINTS = 8  # points that define the direction of a line's end


def _extrapolate(points: list[list[float]], v: float) -> float:
    """u where the least-squares line through points crosses row v. Plain Python takes a fifth of numpy's time here."""
    columns, rows = zip(*points)
    mean_u, mean_v = sum(columns) / len(points), sum(rows) / len(points)
    deviations = [row - mean_v for row in rows]
    variance = sum([off * off for off in deviations])
    slope = sum([off * (u - mean_u) for off, u in zip(deviations, columns)]) / max(variance, 1e-9)
    u: float = mean_u + slope * (v - mean_v)
    return u


def arc_lengths(points: np.ndarray) -> np.ndarray:
    """(P,) distance of each of (P, 2) points from the first, along the line."""
    return np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))))


def resample(line: LaneLine, count: int) -> LaneLine:
    """Resample a line to `count` points, evenly spaced along its length in the image, keeping its ends."""
    along = arc_lengths(line.points)
    wanted = np.linspace(0, along[-1], count)
    points = np.column_stack([np.interp(wanted, along, line.points[:, axis]) for axis in (0, 1)])
    return replace(line, points=points.astype(np.float32))


def left_to_right(lines: Iterable[LaneLine]) -> tuple[LaneLine, ...]:
    """Sort lines by where they cross the lowest row that any of them reaches."""
    lines = tuple(lines)
    if core.kernels is not None and lines:
        counts, crossings = np.array([len(line.points) for line in lines]), np.empty(len(lines))
        points = np.concatenate([line.points for line in lines]).astype(np.float32, copy=False)
        core.kernels.lowest_crossings(points, counts, crossings)
        return tuple([lines[row] for row in crossings.argsort(kind="stable").tolist()])
    polylines = [(line, _downwards(line)) for line in lines]
    bottom = max((points[-1][1] for _, points in polylines), default=0.0)
    return tuple(line for line, _ in sorted(polylines, key=lambda each: _u_at(each[1], bottom)))


def assign_positions(lines: Iterable[LaneLine], image_size: tuple[int, int]) -> tuple[LaneLine, ...]:
    """Sort lines left to right and number positions outwards from the centre of the bottom image row.

    For networks that detect lines without positions. Assumes a front camera near the centre of the car.
    """
    height, width = image_size
    crossings = sorted(((u_at(line, height), line) for line in lines), key=lambda pair: pair[0])
    left = sum(u < width / 2 for u, _ in crossings)
    positions = (*range(-left, 0), *range(1, len(crossings) - left + 1))
    return tuple(replace(line, position=position) for position, (_, line) in zip(positions, crossings))


def drivable_cells(drivable: ClassMap) -> np.ndarray:
    """(h, w) bool: cells of any class except background."""
    cells: np.ndarray = cv2.LUT(drivable.ids, _drivable_ids(drivable.names)).view(bool)
    return cells


@lru_cache(maxsize=8)
def _drivable_ids(names: tuple[str, ...]) -> np.ndarray:
    """(256,) uint8: 1 for ids of any class except background."""
    table = np.zeros(256, np.uint8)
    table[: len(names)] = [name != BACKGROUND for name in names]
    return table


def road_from_drivable(
    drivable: ClassMap, image_size: tuple[int, int], columns: int = 64, ignored: np.ndarray | None = None
) -> Road:
    """Boundary and coverage of the drivable area in an image (H, W); metric fields are unknown.

    ignored  (h, w) bool of the map's shape: cells that are neither drivable nor in the way, such as the own bonnet
    """
    cells, visible = drivable.ids.size, drivable.ids.size
    if ignored is not None:
        visible = max(1, cells - int(np.count_nonzero(ignored)))
    border, count = (_drivable if core.kernels is None else _compiled_drivable)(drivable, image_size, columns, ignored)
    return Road(border, np.zeros((0, 2), np.float32), float("nan"), count / visible)


def _drivable(
    drivable: ClassMap, image_size: tuple[int, int], columns: int, ignored: np.ndarray | None
) -> tuple[np.ndarray, int]:
    """The boundary, and the number of drivable cells."""
    cells = drivable_cells(drivable)
    border = boundary(cells if ignored is None else cells | ignored, image_size, columns)
    return border, cv2.countNonZero(cells.view(np.uint8))


def _compiled_drivable(
    drivable: ClassMap, image_size: tuple[int, int], columns: int, ignored: np.ndarray | None
) -> tuple[np.ndarray, int]:
    rows, width = drivable.ids.shape
    centers, window, u = _strip_geometry(width, min(columns, width), image_size[1])
    lowest, border = np.empty(len(u), np.int64), np.empty((len(u), 2), np.float32)
    ids, without = np.ascontiguousarray(drivable.ids), None
    if ignored is not None:
        without = np.ascontiguousarray(ignored, bool).view(np.uint8)
    count = core.kernels.road_boundary(
        np.empty(width, np.int64), ids, _drivable_ids(drivable.names), without, centers,
        window.shape[1] // 2, lowest,
    )  # fmt: skip
    border[:, 0], border[:, 1] = u, lowest * (image_size[0] / rows)
    return border, count


def boundary(cells: np.ndarray, image_size: tuple[int, int], columns: int = 64) -> np.ndarray:
    """End of the free road in each image strip, from the bottom up.

    cells   (h, w) bool, over the whole image
    returns (C, 2) float32 u v, left to right: u is the centre of a strip, at most one strip per column of cells; v is
            the lower border of its lowest cell that is not drivable: H when the lowest row is not drivable, 0 when the
            whole strip is
    """
    rows, width = cells.shape
    centers, window, u = _strip_geometry(width, min(columns, width), image_size[1])
    below = np.arange(1, rows + 1, dtype=np.uint16)[:, None]  # the row below each
    lowest = (~cells * below).max(axis=0)  # per column: the row below its lowest cell that is not drivable
    border = np.empty((len(u), 2), np.float32)
    border[:, 0], border[:, 1] = u, cv2.dilate(lowest[None], window)[0, centers] * (image_size[0] / rows)
    return border


@lru_cache(maxsize=8)
def _strip_geometry(width: int, count: int, pixels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre column of each strip, dilation kernel as wide as a strip, and strip centres in pixels."""
    centers = ((np.arange(count) + 0.5) * width / count).astype(int)
    # A window of one step around each centre leaves no column out.
    step = width / count
    window = np.ones((1, 2 * ceil(step / 2) + 1 if step > 1 else 1), np.uint8)
    return centers, window, (centers + 0.5) * pixels / width
