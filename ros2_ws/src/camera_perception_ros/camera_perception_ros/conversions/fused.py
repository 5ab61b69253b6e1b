"""Conversions of the fusion: PerceptionFrame to CameraView, other messages to fields."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from operator import attrgetter
from typing import Any

import numpy as np
from geometry_msgs.msg import Point32

from camera_perception import core
from camera_perception.core.types import GroundLine, LaneLine, LineColor, LineType, PositionMethod
from camera_perception.fusion.types import CameraView
from camera_perception_msgs.msg import (
    DetectedObject,
    FusedObject,
    PerceptionFrame,
)
from camera_perception_msgs.msg import LaneLine as LaneMessage
from camera_perception_ros.conversions.messages import stamp_ns

MOST_OBJECTS, MOST_LINES, MOST_POINTS = 300, 50, 1000  # of one frame that the fusion uses
METHODS, UNKNOWN_METHOD = len(PositionMethod), int(PositionMethod.NONE)
NAN = float("nan")
NO_PIXELS = np.zeros((0, 2), np.float32)
LINE_TYPES, LINE_COLORS = {int(each): each for each in LineType}, {int(each): each for each in LineColor}
# Slots, not properties, which take several times as long.
POINT = "_x", "_y"
OBJECT = (
    "_score", "_track_id", "_position_method", "_ground_width", "_coasted", "_has_velocity", "_velocity_over_ground",
)  # fmt: skip
NUMBERS = attrgetter(*OBJECT, "_position._x", "_position._y", "_velocity._x", "_velocity._y")
MATRICES = attrgetter("_position_cov", "_velocity_cov")
PLAN = (
    *OBJECT,
    ("_position", POINT),
    ("_velocity", POINT),
    ("_position_cov", 4),
    ("_velocity_cov", 4),
)  # of the compiled twin


def view_from_frame(frame: PerceptionFrame) -> CameraView:
    """The metric content of a frame; of too many objects and lines the best, as anybody may send frames."""
    found, road = _best([each for each in frame.objects if each._has_position], MOST_OBJECTS), frame.road
    numbers, corners = _numbers(found), road.ground[:MOST_POINTS]
    scores, track_ids, methods, widths, coasted, moving, over_ground = numbers[:, :7].T
    return CameraView(
        stamp_ns=stamp_ns(frame.header.stamp),
        names=tuple([each._class_name for each in found]),
        scores=scores,
        track_ids=track_ids.astype(np.int64),
        positions=numbers[:, 7:9],
        position_covs=numbers[:, 11:15].reshape(-1, 2, 2),
        velocities=np.where(moving[:, None] > 0, numbers[:, 9:11], NAN),
        velocity_covs=numbers[:, 15:].reshape(-1, 2, 2),
        over_ground=bool(over_ground.any()),
        methods=np.where(methods < METHODS, methods, UNKNOWN_METHOD).astype(int),
        ground_widths=widths,
        coasted=coasted.astype(bool),
        lanes=ground_lines(frame.lanes),
        polygon=_points(corners),
        free_distance=road.free_distance_ahead if road.has_ground else float("nan"),
    )


def _numbers(found: list[DetectedObject]) -> np.ndarray:
    """(N, 19) the numbers of PLAN."""
    numbers = np.empty((len(found), 19))
    if core.kernels is not None:
        core.kernels.read_numbers(found, PLAN, numbers)
    elif found:
        numbers[:, :11] = [*map(NUMBERS, found)]
        numbers[:, 11:] = np.concatenate([matrix for each in found for matrix in MATRICES(each)]).reshape(-1, 8)
    return numbers


def _points(corners: list[Point32]) -> np.ndarray:
    """(M, 2) x y."""
    points = np.empty((len(corners), 2))
    if core.kernels is not None:
        core.kernels.read_numbers(corners, POINT, points)
    elif corners:
        points[:] = [*map(attrgetter(*POINT), corners)]
    return points


def velocity_of(found: DetectedObject | FusedObject) -> tuple[float, float]:
    """x and y in m/s; nan when unknown."""
    velocity = found.velocity
    return (velocity.x, velocity.y) if found.has_velocity else (NAN, NAN)


def _best(items: Sequence[Any], most: int) -> list[Any]:
    """The items, or those with the highest scores if there are more; NaN counts as 0."""
    if len(items) <= most:
        return list(items)
    return sorted(items, key=lambda item: item.score if item.score == item.score else 0.0, reverse=True)[:most]


def ground_lines(lanes: Sequence[LaneMessage]) -> tuple[LaneLine, ...]:
    """The lane lines with ground geometry, without those whose fields have different lengths."""
    fitting = [lane for lane in lanes if lane.has_ground and len(lane.x) == len(lane.y) == len(lane.y_std)]
    return tuple(lane_from_message(lane) for lane in _best(fitting, MOST_LINES) if len(lane.x) <= MOST_POINTS)


def lane_from_message(message: LaneMessage) -> LaneLine:
    """A lane line with its ground geometry, without its pixels."""
    points = np.array((message.x, message.y), np.float32).T  # of recordings, too, whose messages have no slots
    y_std = np.array(message.y_std, np.float32)
    return LaneLine(
        points=NO_PIXELS,
        score=message.score,
        position=message.position,
        line_type=LINE_TYPES.get(message.line_type, LineType.UNKNOWN),
        type_score=message.type_score,
        color=LINE_COLORS.get(message.color, LineColor.UNKNOWN),
        color_score=message.color_score,
        lane_id=message.lane_id,
        ground=GroundLine(points, y_std, np.array(message.poly, np.float32), message.x_min, message.x_max),
    )


def fields_of(message: Any) -> dict[str, Any]:
    """The fields of a message as nested dicts and lists."""
    kind: Any = type(message)
    names, values, messages = _plan(kind)
    fields = dict(zip(names, values(message)))
    for name in messages:
        value = fields[name]
        fields[name] = [*map(fields_of, value)] if isinstance(value, list) else fields_of(value)
    return fields


@cache
def _plan(kind: Any) -> tuple[tuple[str, ...], Any, tuple[str, ...]]:
    """Names of the fields of a message type, what reads the slots that hold them, and which fields hold messages."""
    types = kind.get_fields_and_field_types()
    read, first = attrgetter(*(f"_{name}" for name in types)), next(iter(types), "")
    values = read if len(types) > 1 else lambda message: (getattr(message, f"_{first}"),)
    return tuple(types), values, tuple(name for name, type_ in types.items() if "/" in type_)
