"""Which lines bound the own lane: from where they run on the road, checked against what the network says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from camera_perception.types import EgoLane, LaneLine

LOOK = 6.0  # metres ahead, where lines are told apart
LANE_WIDTH = 3.5  # metres, where nothing better is known
SAME_LINE = 0.6  # metres, less than that apart is one border
REACHES_NEAR = 18.0  # metres; a line that begins further away says nothing about the own lane
HALF_CAR = 0.95  # metres


def y_at(line: LaneLine, x: float) -> float:
    """Metres to the left at x metres ahead; before the line begins it goes on straight. nan without ground."""
    if line.ground is None:
        return float("nan")
    c = line.ground.poly.astype(float)
    start = max(x, min(line.ground.x_min, REACHES_NEAR))
    value = c @ np.power(start, np.arange(4))
    slope = c[1:] @ (np.arange(1, 4) * np.power(start, np.arange(3)))
    return float(value + slope * (x - start))


def with_roles(lines: Sequence[LaneLine], width: float = LANE_WIDTH) -> tuple[LaneLine, ...]:
    """Lines with positions counted outwards from the own lane.

    The network's roles stay where they are possible: rising from left to right, the own lane around the car. Where
    they are not, the distance to the car decides, in steps of the lane's width.
    """
    near = [line for line in lines if line.ground is not None and line.ground.x_min < REACHES_NEAR]
    if not near or _possible(near):
        return tuple(lines)
    places = {id(line): y_at(line, LOOK) for line in near}
    roles = _counted(places, 1, width) | _counted(places, -1, width)
    return tuple(replace(line, position=roles.get(id(line), 0)) for line in lines)


def _possible(lines: Sequence[LaneLine]) -> bool:
    ordered = sorted(lines, key=lambda line: -y_at(line, LOOK))
    positions = [line.position for line in ordered]
    sides = all(np.sign(-line.position) == np.sign(y_at(line, LOOK)) for line in ordered)
    rising = all(a < b for a, b in zip(positions, positions[1:]))
    ego = all(abs(y_at(line, LOOK)) < 1.5 * LANE_WIDTH for line in ordered if abs(line.position) == 1)
    return 0 not in positions and rising and sides and ego


def _counted(places: dict[int, float], side: int, width: float) -> dict[int, int]:
    """Line: position on one side (1 left, -1 right); a gap of two lanes skips a number."""
    found: dict[int, int] = {}
    last, number = 0.0, 0
    for line, y in sorted(places.items(), key=lambda item: side * item[1]):
        out = side * y
        if out <= 0 or (number and out - last < SAME_LINE):
            continue
        number += max(1, round((out - last) / width)) if number else 1 + int(out > 1.25 * width)
        found[line], last = -side * number, out
    return found


def ego_lane(lines: Sequence[LaneLine], usual_width: float = LANE_WIDTH, half_car: float = HALF_CAR) -> EgoLane | None:
    """The own lane at the origin of base_link; None when neither of its lines is seen near the car.

    usual_width  metres, stands in for the width while only one line is seen
    """
    own = {
        line.position: line
        for line in lines
        if abs(line.position) == 1 and line.ground is not None and line.ground.x_min < REACHES_NEAR
    }
    if not own:
        return None
    left, right = (y_at(own[side], 0.0) if side in own else float("nan") for side in (-1, 1))
    width = left - right
    middle = np.nanmean(
        (left - (usual_width if np.isnan(right) else width) / 2, right + (usual_width if np.isnan(left) else width) / 2)
    )
    polys = [line.ground.poly for line in own.values() if line.ground is not None]
    slope, bend = np.mean([poly[1] for poly in polys]), np.mean([2 * poly[2] for poly in polys])
    return EgoLane(
        offset=float(-middle),
        heading=float(-np.arctan(slope)),
        curvature=float(bend / (1 + slope**2) ** 1.5),
        width=float(width),
        margin_left=float(left - half_car),
        margin_right=float(-right - half_car),
    )
