"""Assign lane lines to positions around the ego lane, and measure the ego lane."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from operator import itemgetter

from camera_perception.core.types import EgoLane, LaneLine

COMPARISON_X = 6.0  # metres ahead, where lines are compared
LANE_WIDTH = 3.5  # metres, default
SAME_LINE = 0.6  # metres; closer lines are one border
FARTHEST = 100.0  # metres to the side; beyond, a position says nothing, and it is an int8 in messages
MAX_START_X = 18.0  # metres; lines that begin further away are ignored
HALF_CAR_WIDTH = 0.95  # metres
HEADING_STD = math.radians(1.0)  # cars drive along lanes: of two lines, the one with the smaller angle gets more weight


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


def with_roles(lines: Sequence[LaneLine], width: float = LANE_WIDTH) -> tuple[LaneLine, ...]:
    """Lines with positions counted outwards from the ego lane.

    The network's positions are kept if they are plausible: increasing from left to right, with the ego lane around the
    car. Otherwise positions follow from the lateral distance, in steps of the lane width.
    """
    near = [line for line in lines if line.ground is not None and line.ground.x_min < MAX_START_X]
    if not near or _plausible(near):
        return tuple(lines)
    lateral = {id(line): y_at(line, COMPARISON_X) for line in near}
    roles = _positions_on_side(lateral, 1, width) | _positions_on_side(lateral, -1, width)
    return tuple(replace(line, position=roles.get(id(line), 0)) for line in lines)


def _plausible(lines: Sequence[LaneLine]) -> bool:
    before = -math.inf
    for minus_y, position in sorted([(-y_at(line, COMPARISON_X), line.position) for line in lines], key=itemgetter(0)):
        on_its_side = minus_y != 0 and position != 0 and (minus_y > 0) == (position > 0)
        near = -1.5 * LANE_WIDTH < minus_y < 1.5 * LANE_WIDTH
        if not on_its_side or before >= position or (position in (-1, 1) and not near):
            return False
        before = position
    return True


def _positions_on_side(lateral: dict[int, float], side: int, width: float) -> dict[int, int]:
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
    ego = {
        line.position: line
        for line in lines
        if abs(line.position) == 1 and line.ground is not None and line.ground.x_min < MAX_START_X
    }
    if not ego:
        return None
    left, right = [y_at(ego[side], 0.0) if side in ego else math.nan for side in (-1, 1)]
    width = left - right
    polys = [line.ground.poly.tolist() for line in ego.values() if line.ground is not None]
    weights = [1 / (HEADING_STD**2 + poly[1] ** 2) for poly in polys]
    total = sum(weights)
    slope, quadratic = [sum([w * poly[power] for w, poly in zip(weights, polys)]) / total for power in (1, 2)]
    return EgoLane(
        offset=-_middle(left, right, lane_width),
        heading=-math.atan(slope),
        curvature=2 * quadratic / (1 + slope**2) ** 1.5,
        width=width,
        margin_left=left - half_car_width,
        margin_right=-right - half_car_width,
    )


def _middle(left: float, right: float, lane_width: float) -> float:
    """y of the lane centre in metres; one of its lines may be nan."""
    if math.isnan(right):
        return left - lane_width / 2
    return right + lane_width / 2 if math.isnan(left) else (left + right) / 2
