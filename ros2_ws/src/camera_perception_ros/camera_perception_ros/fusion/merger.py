"""PerceptionFrames of several cameras merged into one FusedPerception."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, reduce
from operator import or_

import numpy as np
from geometry_msgs.msg import Point32

from camera_perception.core.types import UNKNOWN_LABEL, EgoMotion
from camera_perception.fusion.free_space import merge_polygons
from camera_perception.fusion.lanes import LaneFuser
from camera_perception.fusion.objects import Motion, ObjectFuser
from camera_perception.fusion.types import CameraView
from camera_perception.geometry.kalman import rotation
from camera_perception.geometry.odometry import Odometry
from camera_perception.io.perception_frame import ego_lane_fields
from camera_perception_msgs.msg import (
    DrivableArea,
    EgoLane,
    FusedPerception,
    PerceptionFrame,
    SceneAttribute,
    TrafficLight,
)
from camera_perception_ros.conversions.fused import lane_message, message_from_fused, view_from_frame
from camera_perception_ros.conversions.messages import time_from_ns
from camera_perception_ros.fusion.camera_state import CameraState

NAN = float("nan")
STANDSTILL = EgoMotion(0.0, 0.0, 0.0)


def moved_roads(views: Mapping[int, CameraView], now_ns: int, motion: Motion) -> list[np.ndarray]:
    """The free-road polygon of each camera that has one, compensated for the car's motion until now.

    motion  of the car between two times; None where unknown, the polygon is not moved then
    """
    free = [view for view in views.values() if len(view.polygon) >= 3]
    return [_moved(view.polygon, motion(view.stamp_ns, now_ns) or STANDSTILL) for view in free]


def joined_road(
    roads: Sequence[np.ndarray], views: Mapping[int, CameraView], now_ns: int, motion: Motion
) -> DrivableArea:
    """The union of the polygons, and the smallest free distance: one camera suffices to report an obstacle."""
    ground = merge_polygons(roads)
    known = (view for view in views.values() if np.isfinite(view.free_distance))
    ahead = (view.free_distance - (motion(view.stamp_ns, now_ns) or STANDSTILL).x for view in known)
    return DrivableArea(
        has_ground=len(ground) > 0,
        ground=[Point32(x=x, y=y) for x, y in ground.tolist()],
        free_distance_ahead=max(min(ahead, default=NAN), 0.0),
        coverage=NAN,
    )


def _moved(polygon: np.ndarray, motion: EgoMotion) -> np.ndarray:
    moved: np.ndarray = (polygon - (motion.x, motion.y)) @ rotation(-motion.yaw).T
    return moved


class Merger:
    """Fuses over cameras and time: an object keeps its track id when it moves from one camera to another."""

    def __init__(self, cameras: Sequence[CameraState], base_frame: str, max_age: float) -> None:
        """max_age of a frame in seconds"""
        self.cameras, self.base_frame, self.max_age = list(cameras), base_frame, max_age
        self.odometry = Odometry()
        self.roads: list[np.ndarray] = []  # free roads of the last message, camera by camera
        self._views: dict[int, tuple[PerceptionFrame, CameraView]] = {}
        self._objects, self._lanes = ObjectFuser(len(self.cameras)), LaneFuser()

    def merge(self, now_ns: int) -> FusedPerception:
        """The content of all recent frames, at the time now_ns."""
        fresh = {
            index: camera.frame
            for index, camera in enumerate(self.cameras)
            if camera.frame is not None and not camera.stale(now_ns, self.max_age)
        }
        message = FusedPerception(cameras=[camera.health(now_ns, self.max_age) for camera in self.cameras])
        message.header.stamp, message.header.frame_id = time_from_ns(now_ns), self.base_frame
        message.age_ms = max((self.cameras[index].age_ms(now_ns) for index in fresh), default=NAN)
        message.status_flags = _union(frame.status_flags for frame in fresh.values())
        message.status = _status(fresh, self.cameras)
        usable = {index: frame for index, frame in fresh.items() if frame.status != PerceptionFrame.INVALID}
        message.tasks_valid = _union(frame.tasks_valid for frame in usable.values())
        self._set_metric(message, usable, now_ns)
        _set_lights(message, usable)
        message.scene = _scene(usable)
        return message

    def _set_metric(self, message: FusedPerception, fresh: dict[int, PerceptionFrame], now_ns: int) -> None:
        """Set objects, lanes and road, from the cameras with metric output in base_frame."""
        metric = {index: frame for index, frame in fresh.items() if frame.base_frame == self.base_frame}
        views = {index: self._view(index, frame) for index, frame in metric.items()}
        moved = cache(self.odometry.between)  # called for every object, line and road of a camera
        compensated = [moved(view.stamp_ns, now_ns) is not None for view in views.values()]
        message.motion_compensated = bool(compensated) and all(compensated)
        class_ids = {found.class_name: found.class_id for frame in metric.values() for found in frame.objects}
        message.objects = message_from_fused(self._objects.update(views, now_ns, moved), class_ids)
        lanes = self._lanes.update(views, now_ns, moved)
        message.lanes = [lane_message(lane) for lane in lanes]
        message.ego_lane = EgoLane(**ego_lane_fields(self._lanes.ego_lane(lanes)))
        self.roads = moved_roads(views, now_ns, moved)
        message.road = joined_road(self.roads, views, now_ns, moved)

    def _view(self, index: int, frame: PerceptionFrame) -> CameraView:
        """The view of a frame, cached: a frame may be used in several messages."""
        if index not in self._views or self._views[index][0] is not frame:
            self._views[index] = frame, view_from_frame(frame)
        return self._views[index][1]


def _union(flags: Iterable[int]) -> int:
    return reduce(or_, flags, 0)


def _status(fresh: dict[int, PerceptionFrame], cameras: Sequence[CameraState]) -> int:
    if all(frame.status == PerceptionFrame.INVALID for frame in fresh.values()):
        return int(PerceptionFrame.INVALID)
    ok = len(fresh) == len(cameras) and all(frame.status == PerceptionFrame.OK for frame in fresh.values())
    return int(PerceptionFrame.OK if ok else PerceptionFrame.DEGRADED)


def _set_lights(message: FusedPerception, fresh: dict[int, PerceptionFrame]) -> None:
    lights = [(index, light) for index, frame in fresh.items() for light in frame.traffic_lights]
    lights.sort(key=lambda pair: (pair[1].relevance != TrafficLight.EGO, -pair[1].score))
    message.traffic_lights = [light for _, light in lights]
    message.traffic_light_cameras = [index for index, _ in lights]


def _certainty(attribute: SceneAttribute) -> tuple[bool, float]:
    return attribute.label != UNKNOWN_LABEL, attribute.score


def _scene(fresh: dict[int, PerceptionFrame]) -> list[SceneAttribute]:
    """One entry per attribute: the one with the highest score, unknown only where no camera knows better."""
    best: dict[str, SceneAttribute] = {}
    for attribute in (attribute for frame in fresh.values() for attribute in frame.scene):
        if attribute.name not in best or _certainty(attribute) > _certainty(best[attribute.name]):
            best[attribute.name] = attribute
    return list(best.values())
