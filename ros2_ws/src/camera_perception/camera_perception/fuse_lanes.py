"""Lane lines of several cameras as one set, and the own lane between them: what two cameras see of one line is one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from camera_perception.fuse import Motion
from camera_perception.fuse_courses import Sighting, joined, moved
from camera_perception.fused_types import CameraView
from camera_perception.lane_roles import LANE_WIDTH, ego_lane, with_roles
from camera_perception.types import EgoLane, GroundLine, LaneLine

SAME = 0.9  # metres
SAME_OWN = LANE_WIDTH / 2  # metres, of lines that both cameras take for the same side of the own lane
GAP = 15.0  # metres between the ends of two pieces of one line
KEEP_NS = 1_000_000_000
WIDTHS = 2.2, 5.0  # metres, of lanes that are believed
CALM = 0.05  # share of a new width


class Seen(NamedTuple):
    """A line that a camera sees, and its course by now."""

    camera: int
    line: LaneLine
    sighting: Sighting


class LaneFuser:
    """The lines around the car. One per rig. usual_width is that of the own lane in metres, as seen lately."""

    def __init__(self) -> None:
        self._next_id = 1
        self._ids: dict[tuple[int, int], tuple[int, int]] = {}  # (camera, its lane id): (our id, when)
        self.usual_width = LANE_WIDTH

    def update(
        self, views: Mapping[int, CameraView], stamp_ns: int, motion: Motion | None = None
    ) -> tuple[LaneLine, ...]:
        """All lines at stamp_ns, left to right."""
        groups: list[list[Seen]] = []
        for seen in _lines(views, stamp_ns, motion):
            _sort_in(groups, seen)
        self._ids = {key: value for key, value in self._ids.items() if 0 <= stamp_ns - value[1] <= KEEP_NS}
        lines = [
            replace(_surest(group), lane_id=self._id(group, stamp_ns), ground=course)
            for group, course in zip(groups, _courses(groups))
        ]
        return tuple(sorted(with_roles(lines, self.usual_width), key=_leftness))

    def own_lane(self, lines: Sequence[LaneLine]) -> EgoLane | None:
        """The lane that the car drives in, between lines of update."""
        lane = ego_lane(lines, self.usual_width)
        if lane is not None and WIDTHS[0] < lane.width < WIDTHS[1]:
            self.usual_width += CALM * (lane.width - self.usual_width)
        return lane

    def _id(self, group: list[Seen], stamp_ns: int) -> int:
        keys = [(seen.camera, seen.line.lane_id) for seen in group]
        known = [self._ids[key][0] for key in keys if key in self._ids and key[1]]
        number = min(known) if known else self._next_id
        self._next_id += not known
        self._ids.update(dict.fromkeys(keys, (number, stamp_ns)))
        return number


def _lines(views: Mapping[int, CameraView], stamp_ns: int, motion: Motion | None) -> Iterator[Seen]:
    """Every sound line of every camera."""
    for camera, view in sorted(views.items()):
        way = motion(view.stamp_ns, stamp_ns) if motion else None
        age = max(stamp_ns - view.stamp_ns, 0) / 1e9
        for line in view.lanes:
            if line.ground is not None and _sound(line.ground):
                yield Seen(camera, line, Sighting(moved(line.ground, way), age, way is not None))


def _sound(ground: GroundLine) -> bool:
    numbers = (ground.points, ground.y_std, ground.poly)
    return len(ground.points) > 1 and all(bool(np.isfinite(each).all()) for each in numbers)


def _leftness(line: LaneLine) -> float:
    return -float(line.ground.poly[0]) if line.ground is not None else 0.0


def _sort_in(groups: list[list[Seen]], seen: Seen) -> None:
    for group in groups:
        if all(_one_line(seen, known) for known in group):
            group.append(seen)
            return
    groups.append([seen])


def _one_line(a: Seen, b: Seen) -> bool:
    own = a.line.position == b.line.position and abs(a.line.position) == 1
    return a.camera != b.camera and _apart(a.sighting.course, b.sighting.course) < (SAME_OWN if own else SAME)


def _apart(a: GroundLine, b: GroundLine) -> float:
    """Metres between two lines where both run, or halfway between their ends."""
    start, end = max(a.x_min, b.x_min), min(a.x_max, b.x_max)
    if start - end > GAP:
        return math.inf
    c0, c1, c2, c3 = (a.poly - b.poly).tolist()
    places = (
        [start + (end - start) * share for share in (0, 0.25, 0.5, 0.75, 1)] if end > start else [(start + end) / 2]
    )
    return sum(abs(c0 + x * (c1 + x * (c2 + x * c3))) for x in places) / len(places)


def _surest(group: Sequence[Seen]) -> LaneLine:
    """Whose kind, colour and role are believed."""
    return max((seen.line for seen in group), key=lambda line: line.score)


def _courses(groups: Sequence[Sequence[Seen]]) -> Iterator[GroundLine]:
    """The course of each group."""
    several = iter(joined([[seen.sighting for seen in group] for group in groups if len(group) > 1]))
    return (next(several) if len(group) > 1 else group[0].sighting.course for group in groups)
