"""Assign lane lines to positions around the ego lane, and measure the ego lane."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from camera_perception import core
from camera_perception.core.types import EgoLane, LaneLine

COMPARISON_X = 6.0  # metres ahead, where lines are compared
LANE_WIDTH = 3.5  # metres, default
SAME_LINE = 0.6  # metres; closer lines are one border
FARTHEST = 100.0  # metres to the side; beyond, a position says nothing, and it is an int8 in messages
MAX_START_X = 18.0  # metres; lines that begin further away are ignored
HALF_CAR_WIDTH = 0.95  # metres
HEADING_STD = math.radians(1.0)  # cars drive along lanes: of two lines, the one with the smaller angle gets more weight
ROLES = COMPARISON_X, MAX_START_X, LANE_WIDTH, SAME_LINE, FARTHEST  # what the compiled twin reads first
NO_CUBIC, NO_ENDS = np.full(4, np.nan), (math.nan, math.nan)


def y_at(line: LaneLine, x: float) -> float:
    """y of the line at x, metres in base_link; extrapolated straight before its start. nan without ground."""
    if line.ground is None:
        return float("nan")
    return y_on(line.ground.poly.tolist(), line.ground.x_min, x)


def y_on(poly: Sequence[float], x_min: float, x: float) -> float:
    """y at x of a line with coefficients c0..c3 that begins at x_min."""
    c0, c1, c2, c3 = poly
    start = MAX_START_X if x_min > MAX_START_X else x_min  # comparisons: min and max take longer than the rest
    start = start if start > x else x
    value = c0 + start * (c1 + start * (c2 + start * c3))
    slope = c1 + start * (2 * c2 + start * 3 * c3)
    return value + slope * (x - start)


def courses(lines: Sequence[LaneLine]) -> tuple[np.ndarray, np.ndarray]:
    """(L, 4) float32 coefficients c0..c3 of lines and (L, 2) first and last x; nan for lines without ground."""
    grounds = [line.ground for line in lines]
    polys = [NO_CUBIC if ground is None else ground.poly for ground in grounds]
    ends = [NO_ENDS if ground is None else (ground.x_min, ground.x_max) for ground in grounds]
    return np.array(polys, np.float32).reshape(-1, 4), np.array(ends, float).reshape(-1, 2)


def with_roles(lines: Sequence[LaneLine], width: float = LANE_WIDTH) -> tuple[LaneLine, ...]:
    """Lines with positions counted outwards from the ego lane, as `roles` does."""
    given = [line.position for line in lines]
    positions = roles(*courses(lines), given, width)
    if positions == given:
        return tuple(lines)
    return tuple(replace(line, position=position) for line, position in zip(lines, positions))


def roles(polys: np.ndarray, ends: np.ndarray, given: Sequence[int], width: float = LANE_WIDTH) -> list[int]:
    """Positions of lines with cubics (L, 4) and first and last x (L, 2), nan without ground.

    The network's positions are kept if they are plausible: increasing from left to right, with the ego lane around the
    car. Otherwise positions follow from the lateral distance, in steps of the lane width.
    """
    if core.kernels is not None:
        positions = np.array(given, np.int64)
        core.kernels.lane_roles(polys, ends, np.array((*ROLES, width)), positions)
        return [*positions.tolist()]
    starts = ends[:, 0].tolist()
    lateral = {
        row: y_on(poly, start, COMPARISON_X)
        for row, (poly, start) in enumerate(zip(polys.tolist(), starts))
        if start < MAX_START_X
    }
    lateral = {row: y for row, y in lateral.items() if not math.isnan(y)}
    if not lateral or _plausible(lateral, given):
        return [*given]
    found = _positions_on_side(lateral, 1, width) | _positions_on_side(lateral, -1, width)
    return [found.get(row, 0) for row in range(len(given))]


def _plausible(lateral: Mapping[int, float], positions: Sequence[int]) -> bool:
    before = -math.inf
    for row, y in sorted(lateral.items(), key=lambda each: -each[1]):
        position, near = positions[row], abs(y) < 1.5 * LANE_WIDTH
        on_its_side = y != 0 and position != 0 and (y < 0) == (position > 0)
        if not on_its_side or before >= position or (position in (-1, 1) and not near):
            return False
        before = position
    return True


def _positions_on_side(lateral: Mapping[int, float], side: int, width: float) -> dict[int, int]:
    """Position of each line on one side (1 left, -1 right) up to FARTHEST; a gap of two lanes skips a position."""
    positions: dict[int, int] = {}
    last, number = 0.0, 0
    for line, y in sorted(lateral.items(), key=lambda item: side * item[1]):
        offset = side * y
        if not 0 < offset < FARTHEST or (number and offset - last < SAME_LINE):
            continue
        number += max(1, round((offset - last) / width)) if number else 1 + int(offset > 1.25 * width)
        positions[line], last = -side * number, offset
    return positions


def ego_lane(
    lines: Sequence[LaneLine], lane_width: float = LANE_WIDTH, half_car_width: float = HALF_CAR_WIDTH
) -> EgoLane | None:
    """The ego lane at the origin of base_link; None when neither of its lines is detected near the car.

    lane_width  metres, assumed while only one line is detected
    """
    polys, ends = courses(lines)
    positions = [line.position for line in lines]
    if core.kernels is None:
        return _ego_lane(polys, ends, positions, lane_width, half_car_width)
    lane = np.empty(6)
    numbers = MAX_START_X, lane_width, half_car_width, HEADING_STD
    found = core.kernels.ego_lane(polys, ends, np.array(positions, np.int64), *numbers, lane)
    return EgoLane(*lane.tolist()) if found else None


def _ego_lane(
    polys: np.ndarray, ends: np.ndarray, positions: Sequence[int], lane_width: float, half_car_width: float
) -> EgoLane | None:
    ego = {
        position: (poly, start)
        for position, poly, start in zip(positions, polys.tolist(), ends[:, 0].tolist())
        if position in (-1, 1) and start < MAX_START_X
    }
    if not ego:
        return None
    left, right = [y_on(*ego[side], 0.0) if side in ego else math.nan for side in (-1, 1)]
    polys_of_ego = [poly for poly, _ in ego.values()]
    weights = [1 / (HEADING_STD * HEADING_STD + poly[1] * poly[1]) for poly in polys_of_ego]
    total = sum(weights)
    slope, quadratic = [sum([w * poly[power] for w, poly in zip(weights, polys_of_ego)]) / total for power in (1, 2)]
    return EgoLane(
        offset=-_middle(left, right, lane_width),
        heading=-math.atan(slope),
        curvature=2 * quadratic / (1 + slope * slope) ** 1.5,
        width=left - right,
        margin_left=left - half_car_width,
        margin_right=-right - half_car_width,
    )


def _middle(left: float, right: float, lane_width: float) -> float:
    """y of the lane centre in metres; one of its lines may be nan."""
    if math.isnan(right):
        return left - lane_width / 2
    return right + lane_width / 2 if math.isnan(left) else (left + right) / 2
