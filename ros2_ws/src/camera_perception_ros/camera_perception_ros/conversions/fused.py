"""Conversions of the fusion: PerceptionFrame to CameraView, fused objects and lanes to messages."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, Vector3

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


def view_from_frame(frame: PerceptionFrame) -> CameraView:
    """The metric content of a frame; of too many objects and lines the best, as anybody may send frames."""
    found, road = _best([each for each in frame.objects if each.has_position], MOST_OBJECTS), frame.road
    numbers = np.array([_numbers(each) for each in found], float).reshape(
        -1, 9
    )  # one array is faster to build than nine
    scores, track_ids, methods, widths, coasted = numbers[:, :5].T
    return CameraView(
        stamp_ns=stamp_ns(frame.header.stamp),
        names=tuple(each.class_name for each in found),
        scores=scores,
        track_ids=track_ids.astype(np.int64),
        positions=numbers[:, 5:7],
        position_covs=_matrices([each.position_cov for each in found]),
        velocities=numbers[:, 7:],
        velocity_covs=_matrices([each.velocity_cov for each in found]),
        over_ground=any(each.velocity_over_ground for each in found),
        methods=np.where(methods < len(PositionMethod), methods, PositionMethod.NONE).astype(int),
        ground_widths=widths,
        coasted=coasted.astype(bool),
        lanes=ground_lines(frame.lanes),
        polygon=np.array([(point.x, point.y) for point in road.ground[:MOST_POINTS]], float).reshape(-1, 2),
        free_distance=road.free_distance_ahead if road.has_ground else float("nan"),
    )


def _numbers(found: DetectedObject) -> tuple[float, ...]:
    at = found.position
    vx, vy = velocity_of(found)
    return found.score, found.track_id, found.position_method, found.ground_width, found.coasted, at.x, at.y, vx, vy


def _matrices(rows: list[np.ndarray]) -> np.ndarray:
    """(N, 2, 2) from N arrays of 4; np.array takes twice as long."""
    return np.concatenate((np.zeros(0), *rows)).reshape(-1, 2, 2)


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


def message_from_fused(fused: FusedObjects, class_ids: Mapping[str, int]) -> list[FusedObject]:
    """One message per object, in the same order; class_ids maps class names to indices in the model's head."""
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
    return [_fused_message(class_ids, *row) for row in zip(*columns)]


def _fused_message(
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
) -> FusedObject:
    """All fields in one call: setting them one by one takes twice as long. rows: of each camera, -1 without."""
    cameras = [camera for camera, row in enumerate(rows) if row >= 0]
    return FusedObject(
        class_id=class_ids.get(name, 0),
        class_name=name,
        score=score,
        track_id=track_id,
        track_age=age,
        coasted=coasted,
        position_method=method,
        position=Point(x=at[0], y=at[1]),
        position_cov=position_cov,
        ground_width=width,
        has_velocity=moving,
        velocity=Vector3(x=velocity[0], y=velocity[1], z=0.0 if moving else NAN),
        velocity_over_ground=over_ground,
        velocity_cov=velocity_cov,
        cameras=cameras,
        camera_track_ids=[ids[camera] for camera in cameras],
    )


def lane_message(lane: LaneLine) -> LaneMessage:
    """A lane line with its ground geometry only."""
    message = LaneMessage(lane_id=lane.lane_id, position=lane.position, score=float(lane.score))
    message.line_type, message.type_score = int(lane.line_type), float(lane.type_score)
    message.color, message.color_score = int(lane.color), float(lane.color_score)
    ground = lane.ground
    if ground is not None:
        message.has_ground, message.poly = True, np.asarray(ground.poly, np.float32)
        message.x, message.y = (_floats(ground.points[:, axis]) for axis in (0, 1))
        message.y_std, message.x_min, message.x_max = _floats(ground.y_std), float(ground.x_min), float(ground.x_max)
    return message


def _floats(values: np.ndarray) -> array[float]:
    return array("f", np.asarray(values, np.float32).tobytes())
