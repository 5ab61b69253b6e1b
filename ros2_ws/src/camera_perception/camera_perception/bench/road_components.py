"""From pixels to metres: places of objects, lines, road and lights, the cameras' steps that need the calibration."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import numpy as np

from camera_perception.bench import given
from camera_perception.bench.component import Component
from camera_perception.calibration_doctor import CalibrationDoctor
from camera_perception.free_road import locate_road
from camera_perception.lane_fit import locate_lanes
from camera_perception.lane_roles import ego_lane
from camera_perception.lane_track import LaneTracker
from camera_perception.lanes import drivable_cells, road_from_drivable
from camera_perception.locate import locate_objects
from camera_perception.overhang import near_sides
from camera_perception.relevance import with_relevance
from camera_perception.types import Objects

LIGHT = given.CLASSES.index("traffic light")


def components() -> list[Component]:
    return [places(50), lines(), free_road(), lights(8), doctor()]


def places(objects: int) -> Component:
    camera, seen = given.camera(), Objects.of(given.detections(objects))
    feet = np.column_stack(((seen.boxes[:, 0] + seen.boxes[:, 2]) / 2, seen.boxes[:, 3]))
    return Component(
        f"places on the road of {objects} objects, with covariance",
        lambda: near_sides(locate_objects(seen, camera, given.CLASSES, given.SIZE), camera, given.CLASSES),
        "the road under the lower middle of each box: no doubt, no size, no edges",
        lambda: camera.ground_from_pixels(feet),
    )


def lines() -> Component:
    camera, tracker, ticks, seen = given.camera(), LaneTracker(), count(), given.lanes()
    return Component(
        "4 lane lines on the road, tracked, with roles and own lane",
        lambda: ego_lane(tracker.update(locate_lanes(seen, camera), next(ticks) * 33_000_000, None), 3.5),
        "the road under the points, np.polyfit of each line: no doubt, no memory, no roles",
        lambda: [_fitted(camera.ground_from_pixels(line.points)) for line in seen],
    )


def _fitted(points: np.ndarray) -> np.ndarray:
    good = points[np.isfinite(points).all(axis=1)]
    return np.polyfit(good[:, 0], good[:, 1], 3)


def free_road() -> Component:
    camera, drivable = given.camera(), given.drivable()
    return Component(
        "free road: border, polygon, free distance",
        lambda: locate_road(road_from_drivable(drivable, given.SIZE), camera, given.SIZE),
        "a loop over the columns, upwards to the first cell that is not free: pixels only",
        lambda: [_first_blocked(column) for column in drivable_cells(drivable).T],
    )


def _first_blocked(column: np.ndarray) -> int:
    for row in range(len(column) - 1, -1, -1):
        if not column[row]:
            return row
    return -1


def lights(number: int) -> Component:
    camera, lanes = given.camera(), locate_lanes(given.lanes(), given.camera())
    seen = Objects.of(replace(given.detections(number), classes=np.full(number, LIGHT, np.int32)))
    return Component(
        f"whom {number} traffic lights govern",
        lambda: with_relevance(seen, LIGHT, lanes, camera),
        "the light nearest to the middle of the image",
        lambda: np.abs(seen.boxes[:, [0, 2]].mean(axis=1) - given.SIZE[1] / 2).argmin(),
    )


def doctor() -> Component:
    camera, watch, ticks, seen = given.camera(), CalibrationDoctor(), count(), given.lanes()
    return Component(
        "calibration doctor, a frame with two straight lines",
        lambda: watch.update(seen, camera, next(ticks) * 33_000_000),
        "where both lines meet, by np.polyfit: no width, no window, no limits",
        lambda: [np.polyfit(line.points[:, 1], line.points[:, 0], 1) for line in seen[1:3]],
    )
