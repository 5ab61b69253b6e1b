"""PerceptionFrames of several cameras merged into one FusedPerception."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, reduce
from itertools import chain
from operator import attrgetter, or_
from typing import Any

import numpy as np
from rclpy.serialization import deserialize_message

from camera_perception.core.types import UNKNOWN_LABEL, EgoMotion
from camera_perception.fusion.free_space import merge_polygons
from camera_perception.fusion.lanes import LaneFuser
from camera_perception.fusion.objects import Motion, ObjectFuser
from camera_perception.fusion.packed import packed
from camera_perception.fusion.types import CameraView
from camera_perception.geometry.kalman import rotation
from camera_perception.geometry.odometry import Odometry
from camera_perception.io.cdr import serialize
from camera_perception.io.perception_frame import ego_lane_fields, header_fields, lane_fields, on_road
from camera_perception.io.ros_types import FUSED_PERCEPTION
from camera_perception_msgs.msg import (
    FusedPerception,
    PerceptionFrame,
    SceneAttribute,
    TrafficLight,
)
from camera_perception_ros.conversions.fused import fields_of, view_from_frame
from camera_perception_ros.fusion.camera_state import CameraState

NAN = float("nan")
# Slots, not properties, which take several times as long.
CLASS, ATTRIBUTE = attrgetter("_class_name", "_class_id"), attrgetter("_name", "_label", "_score")
STANDSTILL = EgoMotion(0.0, 0.0, 0.0)


def moved_roads(views: Mapping[int, CameraView], now_ns: int, motion: Motion) -> list[np.ndarray]:
    """The free-road polygon of each camera that has one, compensated for the car's motion until now.

    motion  of the car between two times; None where unknown, the polygon is not moved then
    """
    free = [view for view in views.values() if len(view.polygon) >= 3]
    return [_moved(view.polygon, motion(view.stamp_ns, now_ns) or STANDSTILL) for view in free]


def joined_road(
    roads: Sequence[np.ndarray], views: Mapping[int, CameraView], now_ns: int, motion: Motion
) -> dict[str, Any]:
    """DrivableArea: the union of the polygons, and the smallest free distance: one camera suffices to report an
    obstacle.
    """
    ground = merge_polygons(roads)
    known = (view for view in views.values() if np.isfinite(view.free_distance))
    ahead = (view.free_distance - (motion(view.stamp_ns, now_ns) or STANDSTILL).x for view in known)
    return {
        "has_ground": len(ground) > 0,
        "ground": on_road(ground),
        "free_distance_ahead": max(min(ahead, default=NAN), 0.0),
        "coverage": NAN,
    }


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
        message: FusedPerception = deserialize_message(
            serialize(FUSED_PERCEPTION, self.fields(now_ns)), FusedPerception
        )
        return message

    def fields(self, now_ns: int) -> dict[str, Any]:
        """The same as nested fields for cdr.serialize, without the object for every value that a message has."""
        fresh = {
            index: camera.frame
            for index, camera in enumerate(self.cameras)
            if camera.frame is not None and not camera.stale(now_ns, self.max_age)
        }
        usable = {index: frame for index, frame in fresh.items() if frame.status != PerceptionFrame.INVALID}
        return {
            "header": header_fields(now_ns, self.base_frame),
            "cameras": [camera.health(now_ns, self.max_age) for camera in self.cameras],
            "age_ms": max((self.cameras[index].age_ms(now_ns) for index in fresh), default=NAN),
            "status_flags": _union(frame.status_flags for frame in fresh.values()),
            "status": _status(fresh, self.cameras),
            "tasks_valid": _union(frame.tasks_valid for frame in usable.values()),
            "scene": _scene(usable),
            **self._metric(usable, now_ns),
            **_lights(usable),
        }

    def _metric(self, fresh: dict[int, PerceptionFrame], now_ns: int) -> dict[str, Any]:
        """Objects, lanes and road, from the cameras with metric output in base_frame."""
        metric = {index: frame for index, frame in fresh.items() if frame.base_frame == self.base_frame}
        views = {index: self._view(index, frame) for index, frame in metric.items()}
        moved = cache(self.odometry.between)  # called for every object, line and road of a camera
        compensated = [moved(view.stamp_ns, now_ns) is not None for view in views.values()]
        class_ids = dict(map(CLASS, chain.from_iterable(frame.objects for frame in metric.values())))
        lanes = self._lanes.update(views, now_ns, moved)
        self.roads = moved_roads(views, now_ns, moved)
        return {
            "motion_compensated": bool(compensated) and all(compensated),
            "objects": packed(self._objects.update(views, now_ns, moved), class_ids),
            "lanes": [lane_fields(lane) for lane in lanes],
            "ego_lane": ego_lane_fields(self._lanes.ego_lane(lanes)),
            "road": joined_road(self.roads, views, now_ns, moved),
        }

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


def _lights(fresh: dict[int, PerceptionFrame]) -> dict[str, Any]:
    lights = [(index, light) for index, frame in fresh.items() for light in frame.traffic_lights]
    lights.sort(key=lambda pair: (pair[1].relevance != TrafficLight.EGO, -pair[1].score))
    indices = [index for index, _ in lights]
    return {"traffic_lights": [fields_of(light) for _, light in lights], "traffic_light_cameras": indices}


def _scene(fresh: dict[int, PerceptionFrame]) -> list[dict[str, Any]]:
    """One entry per attribute: the one with the highest score, unknown only where no camera knows better."""
    best: dict[str, tuple[tuple[bool, float], SceneAttribute]] = {}
    for frame in fresh.values():
        for attribute in frame.scene:
            name, label, score = ATTRIBUTE(attribute)
            certainty = label != UNKNOWN_LABEL, score
            if name not in best or certainty > best[name][0]:
                best[name] = certainty, attribute
    return [fields_of(attribute) for _, attribute in best.values()]
