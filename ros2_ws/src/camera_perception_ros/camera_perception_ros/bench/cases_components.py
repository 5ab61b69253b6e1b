"""CPU time of single steps of the nodes: serialisation, fusion of a rig, occupancy grid, markers."""

from __future__ import annotations

from dataclasses import replace
from itertools import count, cycle

import numpy as np
from geometry_msgs.msg import Point32
from rclpy.serialization import deserialize_message
from std_msgs.msg import Header

from camera_perception.core.types import Objects
from camera_perception.draw.scene import Surroundings
from camera_perception.geometry.camera import Camera, optical_from_rpy
from camera_perception.io.cdr import serialize
from camera_perception.io.perception_frame import perception_fields
from camera_perception.io.ros_types import FUSED_PERCEPTION, PERCEPTION_FRAME
from camera_perception.lanes.fit import locate_lanes
from camera_perception.objects.localize import locate_objects
from camera_perception.tools.bench import synthetic_inputs
from camera_perception.tools.bench.components import Component, spec
from camera_perception_msgs.msg import FusedPerception, PerceptionFrame
from camera_perception_ros.conversions.messages import time_from_ns
from camera_perception_ros.fusion.camera_state import CameraState
from camera_perception_ros.fusion.merger import Merger
from camera_perception_ros.fusion.outputs import occupancy_message, surroundings_from_fused
from camera_perception_ros.outputs.markers import MarkerUpdates, markers

CAMERAS, OBJECTS, PERIOD_NS = 6, 20, 50_000_000


def node_components() -> list[Component]:
    return [serialising(), fusing(), grid(), marking()]


def frames(cameras: int = CAMERAS, objects: int = OBJECTS) -> list[PerceptionFrame]:
    """Simultaneous frames of cameras all around: each sees the same busy street in its own direction."""
    return [_frame(2 * np.pi * number / cameras, objects) for number in range(cameras)]


def _frame(yaw: float, objects: int) -> PerceptionFrame:
    pose = optical_from_rpy((0.0, 0.0, 1.4), (0.0, 0.03, yaw))
    camera: Camera = replace(synthetic_inputs.camera(), base_from_camera=pose)
    located = locate_objects(
        Objects.of(synthetic_inputs.detections(objects)), camera, synthetic_inputs.CLASSES, synthetic_inputs.SIZE
    )
    numbers = np.arange(1, len(located) + 1, dtype=np.int64)
    located = replace(located, track_ids=numbers, velocities=np.full((len(located), 2), 1.0, np.float32))
    located = replace(located, velocity_covs=np.tile(np.eye(2, dtype=np.float32), (len(located), 1, 1)))
    along = abs(np.sin(yaw)) < 0.1  # side cameras see no lines along the road
    lanes = locate_lanes(synthetic_inputs.lanes(), camera) if along else ()
    perception = replace(synthetic_inputs.perception(objects), objects=located, lanes=lanes, base_frame="base_link")
    data = serialize(PERCEPTION_FRAME, perception_fields(perception, spec()))
    frame: PerceptionFrame = deserialize_message(data, PerceptionFrame)
    turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    fan = np.array([(3.0, -2.0), *((30 + 5 * np.sin(i), 0.5 * i - 12) for i in range(48)), (3.0, 2.0)]) @ turn.T
    frame.road.has_ground, frame.road.ground = True, [Point32(x=float(x), y=float(y)) for x, y in fan]
    frame.road.free_distance_ahead = 30.0
    return frame


class Rig:
    """Six cameras with one new frame each per fused message, on a car that drives at 10 m/s."""

    def __init__(self) -> None:
        # In turn: a frame is new to the merger when it is another object than before.
        self._frames, self._ticks = cycle([frames(), frames()]), count(1)
        self.merger = Merger([CameraState(f"camera{number}") for number in range(CAMERAS)], "base_link", 0.5)

    def tick(self) -> bytes:
        """The bytes of the next fused message."""
        now = next(self._ticks) * PERIOD_NS
        self.merger.odometry.add(now, now * 1e-8, 0.0, 0.0)
        header = Header(stamp=time_from_ns(now - 20_000_000))
        for camera, frame in zip(self.merger.cameras, next(self._frames)):
            frame.header = header
            camera.take(frame)
        return serialize(FUSED_PERCEPTION, self.merger.fields(now))

    def surroundings(self) -> Surroundings:
        return surroundings_from_fused(deserialize_message(self.tick(), FusedPerception), self.merger.roads)


def serialising(objects: int = OBJECTS) -> Component:
    perception, contract = synthetic_inputs.perception(objects), spec()
    return Component(
        f"PerceptionFrame of {objects} objects, 4 lines, filled and serialised",
        lambda: serialize(PERCEPTION_FRAME, perception_fields(perception, contract)),
    )


def fusing() -> Component:
    return Component(f"fusion of {CAMERAS} cameras with {OBJECTS} objects each, road and lines", Rig().tick)


def grid() -> Component:
    fused, header = Rig().surroundings(), Header()
    return Component("occupancy grid of a rig, 200x120 cells", lambda: occupancy_message(fused, header))


def marking() -> Component:
    fused, header, updates = Rig().surroundings(), Header(), MarkerUpdates()
    name = f"markers of {len(fused)} objects, road and lines, serialised"
    return Component(name, lambda: updates.message(markers(fused, header)))
