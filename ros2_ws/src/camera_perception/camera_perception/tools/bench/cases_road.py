"""From pixels to metres: places of objects, lines, road and lights, the cameras' steps that need the calibration."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import numpy as np

from camera_perception.core.types import Objects
from camera_perception.lanes.fit import locate_lanes
from camera_perception.lanes.free_road import locate_road
from camera_perception.lanes.image_lines import drivable_cells, road_from_drivable
from camera_perception.lanes.online_calibration import CalibrationDoctor
from camera_perception.lanes.roles import ego_lane
from camera_perception.lanes.tracker import LaneTracker
from camera_perception.objects.footprint import near_sides
from camera_perception.objects.localize import locate_objects
from camera_perception.objects.relevance import light_relevances
from camera_perception.tools.bench import synthetic_inputs
from camera_perception.tools.bench.component import Component

LIGHT = synthetic_inputs.CLASSES.index("traffic light")


def components() -> list[Component]:
    return [places(50), lines(), free_road(), lights(8), doctor()]


def places(objects: int) -> Component:
    camera, seen = synthetic_inputs.camera(), Objects.of(synthetic_inputs.detections(objects))
    feet = np.column_stack(((seen.boxes[:, 0] + seen.boxes[:, 2]) / 2, seen.boxes[:, 3]))
    return Component(
        f"places on the road of {objects} objects, with covariance",
        lambda: near_sides(
            locate_objects(seen, camera, synthetic_inputs.CLASSES, synthetic_inputs.SIZE),
            camera,
            synthetic_inputs.CLASSES,
        ),
        "the road under the lower middle of each box: no doubt, no size, no edges",
        lambda: camera.ground_from_pixels(feet),
    )


def lines() -> Component:
    camera, tracker, ticks, seen = synthetic_inputs.camera(), LaneTracker(), count(), synthetic_inputs.lanes()
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
    camera, drivable = synthetic_inputs.camera(), synthetic_inputs.drivable()
    return Component(
        "free road: border, polygon, free distance",
        lambda: locate_road(road_from_drivable(drivable, synthetic_inputs.SIZE), camera, synthetic_inputs.SIZE),
        "a loop over the columns, upwards to the first cell that is not free: pixels only",
        lambda: [_first_blocked(column) for column in drivable_cells(drivable).T],
    )


def _first_blocked(column: np.ndarray) -> int:
    for row in range(len(column) - 1, -1, -1):
        if not column[row]:
            return row
    return -1


def lights(number: int) -> Component:
    camera, lanes = synthetic_inputs.camera(), locate_lanes(synthetic_inputs.lanes(), synthetic_inputs.camera())
    seen = Objects.of(replace(synthetic_inputs.detections(number), classes=np.full(number, LIGHT, np.int32)))
    return Component(
        f"whom {number} traffic lights govern",
        lambda: light_relevances(seen, LIGHT, lanes, camera),
        "the light nearest to the middle of the image",
        lambda: np.abs(seen.boxes[:, [0, 2]].mean(axis=1) - synthetic_inputs.SIZE[1] / 2).argmin(),
    )


def doctor() -> Component:
    camera, watch, ticks, seen = synthetic_inputs.camera(), CalibrationDoctor(), count(), synthetic_inputs.lanes()
    return Component(
        "calibration doctor, a frame with two straight lines",
        lambda: watch.update(seen, camera, next(ticks) * 33_000_000),
        "where both lines meet, by np.polyfit: no width, no window, no limits",
        lambda: [np.polyfit(line.points[:, 1], line.points[:, 0], 1) for line in seen[1:3]],
    )
