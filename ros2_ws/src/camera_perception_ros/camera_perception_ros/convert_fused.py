"""The fusion's side of convert.py: PerceptionFrame to CameraView, fused objects and lanes to messages."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

import numpy as np
from geometry_msgs.msg import Point, Vector3

from camera_perception.fused_types import CameraView, FusedObjects
from camera_perception.surroundings import Surroundings
from camera_perception.types import GroundLine, LaneLine, LineColor, LineType
from camera_perception_msgs.msg import (
    DetectedObject,
    FusedObject,
    FusedPerception,
    PerceptionFrame,
    TrafficLight,
    TrafficLightElement,
)
from camera_perception_msgs.msg import LaneLine as LaneMessage
from camera_perception_ros.convert import stamp_ns


def view_from_frame(frame: PerceptionFrame) -> CameraView:
    """Everything of a frame that has metres."""
    found = [each for each in frame.objects if each.has_position]
    road = frame.road
    return CameraView(
        stamp_ns=stamp_ns(frame.header.stamp),
        names=tuple(each.class_name for each in found),
        scores=np.array([each.score for each in found], float),
        track_ids=np.array([each.track_id for each in found], np.int64),
        positions=np.array([(each.position.x, each.position.y) for each in found], float).reshape(-1, 2),
        position_covs=np.array([each.position_cov for each in found], float).reshape(-1, 2, 2),
        velocities=np.array([_velocity(each) for each in found], float).reshape(-1, 2),
        velocity_covs=np.array([each.velocity_cov for each in found], float).reshape(-1, 2, 2),
        over_ground=any(each.velocity_over_ground for each in found),
        methods=np.array([each.position_method for each in found], int),
        ground_widths=np.array([each.ground_width for each in found], float),
        coasted=np.array([each.coasted for each in found], bool),
        lanes=tuple(lane_from_message(lane) for lane in frame.lanes if lane.has_ground),
        polygon=np.array([(point.x, point.y) for point in road.ground], float).reshape(-1, 2),
        free_distance=road.free_distance_ahead if road.has_ground else float("nan"),
    )


def _velocity(found: DetectedObject | FusedObject) -> tuple[float, float]:
    return (found.velocity.x, found.velocity.y) if found.has_velocity else (float("nan"), float("nan"))


def lane_from_message(message: LaneMessage) -> LaneLine:
    """A lane line with its course on the road, without its pixels."""
    points = np.c_[np.array(message.x, np.float32), np.array(message.y, np.float32)]
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
    """One message per object, in the given order; class_ids name: number in the model's head."""
    return [_object(fused, row, class_ids) for row in range(len(fused))]


def _object(fused: FusedObjects, row: int, class_ids: Mapping[str, int]) -> FusedObject:
    name, moving = str(fused.names[row]), bool(fused.moving[row])
    cameras = np.flatnonzero(fused.rows[row] >= 0)
    message = FusedObject(class_id=class_ids.get(name, 0), class_name=name, score=float(fused.scores[row]))
    message.track_id, message.track_age = int(fused.track_ids[row]) & 0xFFFFFFFF, min(int(fused.ages[row]), 0xFFFF)
    message.coasted, message.position_method = bool(fused.coasted[row]), int(fused.methods[row])
    x, y = map(float, fused.positions[row])
    message.position, message.position_cov = Point(x=x, y=y, z=0.0), fused.position_covs[row].astype(np.float32).ravel()
    message.ground_width = float(fused.ground_widths[row])
    message.has_velocity, message.velocity_over_ground = moving, moving and bool(fused.over_ground[row])
    vx, vy = map(float, fused.velocities[row])
    message.velocity = Vector3(x=vx, y=vy, z=0.0 if moving else float("nan"))
    message.velocity_cov = fused.velocity_covs[row].astype(np.float32).ravel()
    message.cameras = cameras.tolist()
    message.camera_track_ids = fused.camera_ids[row, cameras].tolist()
    return message


def lane_message(lane: LaneLine) -> LaneMessage:
    """A line on the road, without pixels."""
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


def surroundings_from_fused(message: FusedPerception, roads: Sequence[np.ndarray] | None = None) -> Surroundings:
    """What a fused message says about the road around the car; roads, when given, instead of its one polygon."""
    found, road = message.objects, message.road
    ground = np.array([(point.x, point.y) for point in road.ground], float).reshape(-1, 2)
    return Surroundings(
        base_frame=message.header.frame_id,
        names=tuple(each.class_name for each in found),
        scores=np.array([each.score for each in found], float),
        track_ids=np.array([each.track_id for each in found], np.int64),
        positions=np.array([(each.position.x, each.position.y) for each in found], float).reshape(-1, 2),
        position_covs=np.array([each.position_cov for each in found], float).reshape(-1, 2, 2),
        velocities=np.array([_velocity(each) for each in found], float).reshape(-1, 2),
        coasted=np.array([each.coasted for each in found], bool),
        lanes=tuple(lane_from_message(lane) for lane in message.lanes if lane.has_ground),
        roads=tuple(roads) if roads is not None else (ground,) if len(ground) >= 3 else (),
        free_distance=road.free_distance_ahead if road.has_ground else float("nan"),
        light=_own_light(message.traffic_lights),
    )


LIGHTS = {TrafficLightElement.RED: "red", TrafficLightElement.AMBER: "amber", TrafficLightElement.GREEN: "green"}


def _own_light(lights: Sequence[TrafficLight]) -> str:
    """Colour of the first lamp of the first light of the own lane; "" when none is known."""
    own = (light for light in lights if light.relevance == TrafficLight.EGO and light.elements)
    return next((LIGHTS.get(light.elements[0].color, "") for light in own), "")
