"""Which lines bound the own lane: from where they run on the road, checked against what the network says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from camera_perception.core.types import EgoLane, LaneLine

LOOK = 6.0  # metres ahead, where lines are told apart
LANE_WIDTH = 3.5  # metres, where nothing better is known
SAME_LINE = 0.6  # metres, less than that apart is one border
REACHES_NEAR = 18.0  # metres; a line that begins further away says nothing about the own lane
HALF_CAR = 0.95  # metres
ALONG = math.radians(1.0)  # cars go along lanes: of two lines that disagree, the one at such an angle counts more


def y_at(line: LaneLine, x: float) -> float:
    """Metres to the left at x metres ahead; before the line begins it goes on straight. nan without ground."""
    if line.ground is None:
        return float("nan")
    c0, c1, c2, c3 = line.ground.poly.tolist()
    start = max(x, min(line.ground.x_min, REACHES_NEAR))
    value = c0 + start * (c1 + start * (c2 + start * c3))
    slope = c1 + start * (2 * c2 + start * 3 * c3)
    return value + slope * (x - start)


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
    placed = sorted(((y_at(line, LOOK), line.position) for line in lines), key=lambda place: -place[0])
    positions = [position for _, position in placed]
    sides = all(y != 0 and position != 0 and (y < 0) == (position > 0) for y, position in placed)
    rising = all(a < b for a, b in zip(positions, positions[1:]))
    return rising and sides and all(abs(y) < 1.5 * LANE_WIDTH for y, position in placed if abs(position) == 1)


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
    left, right = (y_at(own[side], 0.0) if side in own else math.nan for side in (-1, 1))
    width = left - right
    polys = [line.ground.poly.tolist() for line in own.values() if line.ground is not None]
    trust = [1 / (ALONG**2 + poly[1] ** 2) for poly in polys]
    slope, bend = (sum(w * poly[power] for w, poly in zip(trust, polys)) / sum(trust) for power in (1, 2))
    return EgoLane(
        offset=-_middle(left, right, usual_width),
        heading=-math.atan(slope),
        curvature=2 * bend / (1 + slope**2) ** 1.5,
        width=width,
        margin_left=left - half_car,
        margin_right=-right - half_car,
    )


def _middle(left: float, right: float, usual_width: float) -> float:
    """Metres to the left of the lane's middle; one of its lines may be nan."""
    if math.isnan(right):
        return left - usual_width / 2
    return right + usual_width / 2 if math.isnan(left) else (left + right) / 2
