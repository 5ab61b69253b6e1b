"""Conversions of the fusion: PerceptionFrame to CameraView, fused objects and lanes to messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from camera_perception import core
from camera_perception.core.types import GroundLine, LaneLine, LineColor, LineType, PositionMethod
from camera_perception.fusion.types import AGE, ID, METHOD, SCORE, WIDTH, CameraView, FusedObjects
from camera_perception_msgs.msg import (
    DetectedObject,
    FusedObject,
    PerceptionFrame,
)
from camera_perception_msgs.msg import LaneLine as LaneMessage
from camera_perception_ros.conversions.messages import stamp_ns

MOST_OBJECTS, MOST_LINES, MOST_POINTS = 300, 50, 1000  # of one frame that the fusion uses
NAN = float("nan")
# Slots, not properties, which take several times as long.
POINT = attrgetter("_x", "_y")
OBJECT = (
    "_score", "_track_id", "_position_method", "_ground_width", "_coasted", "_has_velocity", "_velocity_over_ground",
)  # fmt: skip
NUMBERS = attrgetter(*OBJECT, "_position._x", "_position._y", "_velocity._x", "_velocity._y")
MATRICES = attrgetter("_position_cov", "_velocity_cov")
XY = "_x", "_y"
PLAN = *OBJECT, ("_position", XY), ("_velocity", XY), ("_position_cov", 4), ("_velocity_cov", 4)  # of the compiled twin


def view_from_frame(frame: PerceptionFrame) -> CameraView:
    """The metric content of a frame; of too many objects and lines the best, as anybody may send frames."""
    found, road = _best([each for each in frame.objects if each._has_position], MOST_OBJECTS), frame.road
    numbers = _numbers(found)
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
        methods=np.where(methods < len(PositionMethod), methods, PositionMethod.NONE).astype(int),
        ground_widths=widths,
        coasted=coasted.astype(bool),
        lanes=ground_lines(frame.lanes),
        polygon=np.array([*map(POINT, road.ground[:MOST_POINTS])], float).reshape(-1, 2),
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
    points = np.array((message.x, message.y), np.float32).T
    y_std = np.array(message.y_std, np.float32)
    return LaneLine(
        points=np.zeros((0, 2), np.float32),
        score=message.score,
        position=message.position,
        line_type=LineType(message.line_type),
        type_score=message.type_score,
        color=LineColor(message.color),
        color_score=message.color_score,
        lane_id=message.lane_id,
        ground=GroundLine(points, y_std, np.array(message.poly, np.float32), message.x_min, message.x_max),
    )


def fused_fields(fused: FusedObjects, class_ids: Mapping[str, int]) -> list[dict[str, Any]]:
    """The fields of one FusedObject per object, in the same order, which are serialised several times faster than
    messages are made; class_ids maps class names to indices in the model's head.
    """
    moving = fused.moving
    columns = (
        fused.names,
        fused.numbers[:, SCORE].tolist(),
        (fused.counts[:, ID] & 0xFFFFFFFF).tolist(),
        np.minimum(fused.counts[:, AGE], 0xFFFF).tolist(),
        fused.coasted.tolist(),
        fused.counts[:, METHOD].tolist(),
        fused.positions.tolist(),
        fused.position_covs.astype(np.float32).reshape(-1, 4),
        fused.numbers[:, WIDTH].tolist(),
        moving.tolist(),
        fused.velocities.tolist(),
        (moving & fused.over_ground).tolist(),
        fused.velocity_covs.astype(np.float32).reshape(-1, 4),
        fused.rows.tolist(),
        fused.camera_ids.tolist(),
    )
    return [_fused_fields(class_ids, *row) for row in zip(*columns)]


def _fused_fields(
    class_ids: Mapping[str, int],
    name: str,
    score: float,
    track_id: int,
    age: int,
    coasted: bool,
    method: int,
    at: list[float],
    position_cov: np.ndarray,
    width: float,
    moving: bool,
    velocity: list[float],
    over_ground: bool,
    velocity_cov: np.ndarray,
    rows: list[int],
    ids: list[int],
) -> dict[str, Any]:
    """rows: of each camera, -1 without."""
    cameras = [camera for camera, row in enumerate(rows) if row >= 0]
    return {
        "class_id": class_ids.get(name, 0),
        "class_name": name,
        "score": score,
        "track_id": track_id,
        "track_age": age,
        "coasted": coasted,
        "position_method": method,
        "position": {"x": at[0], "y": at[1]},
        "position_cov": position_cov,
        "ground_width": width,
        "has_velocity": moving,
        "velocity": {"x": velocity[0], "y": velocity[1], "z": 0.0 if moving else NAN},
        "velocity_over_ground": over_ground,
        "velocity_cov": velocity_cov,
        "cameras": cameras,
        "camera_track_ids": [ids[camera] for camera in cameras],
    }


def fields_of(message: Any) -> dict[str, Any]:
    """The fields of a message as nested dicts and lists."""
    return {name: _value_of(getattr(message, name)) for name in message.get_fields_and_field_types()}


def _value_of(value: Any) -> Any:
    if isinstance(value, list):
        return [_value_of(each) for each in value]
    return fields_of(value) if hasattr(value, "get_fields_and_field_types") else value
