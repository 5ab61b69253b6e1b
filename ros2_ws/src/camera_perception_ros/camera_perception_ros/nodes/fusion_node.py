"""Lifecycle node that fuses the PerceptionFrames of several cameras into one FusedPerception at a fixed rate."""

from __future__ import annotations

import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from nav_msgs.msg import Odometry
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message

from camera_perception.io.cdr import serialize
from camera_perception.io.ros_types import FUSED_PERCEPTION
from camera_perception_msgs.msg import FusedPerception, PerceptionFrame
from camera_perception_ros.camera import diagnostics
from camera_perception_ros.camera.diagnostics import ERROR, OK, WARN, array_of, status
from camera_perception_ros.camera.subscriptions import ODOMETRY
from camera_perception_ros.conversions.messages import pose_from_odometry
from camera_perception_ros.fusion.camera_state import CameraState
from camera_perception_ros.fusion.merger import Merger
from camera_perception_ros.fusion.outputs import fused_outputs, surroundings_from_fused
from camera_perception_ros.outputs.adapters import fused_adapters
from camera_perception_ros.outputs.publishers import Output, OutputPublishers, overridable_publisher
from camera_perception_ros.params.fusion import FusionParams
from camera_perception_ros.params.lock import ParameterLock
from camera_perception_ros.params.params import Parameters
from camera_perception_ros.runtime.lifecycle import ManagedNode
from camera_perception_ros.runtime.process import Stop

RELIABLE = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
VIEW_RATE = 10.0  # Hz, of markers and grids for display: each costs more than the fusion


class ConfiguredFusion:
    """The publishers of a fusion node, from configure to cleanup."""

    def __init__(self, node: LifecycleNode, adapters: list[Output]) -> None:
        self._node = node
        self.publisher = overridable_publisher(node, FusedPerception, "~/fused", RELIABLE)
        self.outputs = OutputPublishers(node, [*fused_outputs(), *adapters], RELIABLE)

    def close(self) -> None:
        self._node.destroy_lifecycle_publisher(self.publisher)
        self.outputs.close()


class ActiveFusion:
    """Subscriptions and timer of a fusion node, with what it remembers of the cameras, while it is active."""

    def __init__(self, node: LifecycleNode, configured: ConfiguredFusion, params: FusionParams) -> None:
        self._node, self._configured, self._sequence = node, configured, 0
        self._views_every = max(1, round(params.rate / VIEW_RATE))
        cameras = [CameraState(name) for name in params.names]
        self.merger = Merger(cameras, params.base_frame, params.max_age)
        self._subscriptions = [
            node.create_subscription(PerceptionFrame, topic, camera.take, RELIABLE)
            for camera, topic in zip(cameras, params.topic_of.values())
        ]
        if params.odometry_topic:
            odometry = node.create_subscription(Odometry, params.odometry_topic, self._on_odometry, ODOMETRY)
            self._subscriptions.append(odometry)
        self._timer = node.create_timer(1 / params.rate, self._fuse)

    def _on_odometry(self, message: Odometry) -> None:
        self.merger.odometry.add(*pose_from_odometry(message))

    def _fuse(self) -> None:
        started = time.perf_counter_ns()
        fields = self.merger.fields(self._node.get_clock().now().nanoseconds)
        fields["seq"], self._sequence = self._sequence, self._sequence + 1
        fields["fuse_ms"] = (time.perf_counter_ns() - started) / 1e6
        data = serialize(FUSED_PERCEPTION, fields)
        self._configured.publisher.publish(data)
        outputs = self._configured.outputs
        if fields["seq"] % self._views_every == 0 and outputs.wanted():
            message = deserialize_message(data, FusedPerception)
            surroundings = surroundings_from_fused(message, self.merger.roads)
            outputs.publish(surroundings, message.header, message.traffic_lights)

    def close(self) -> None:
        """Stop, and let listeners get what was published."""
        self._node.destroy_timer(self._timer)
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        if self._configured.publisher.get_subscription_count():
            self._configured.publisher.wait_for_all_acked(Duration(seconds=1))
        self._configured.outputs.flush(0.5)


class FusionNode(ManagedNode[ConfiguredFusion, ActiveFusion]):
    def __init__(self, stop: Stop | None = None, name: str = "fusion", **options: Any) -> None:
        super().__init__(name, **options)
        self._declared = Parameters(self, FusionParams, self._on_parameters, lambda: self.configured is not None)
        self._lock = ParameterLock(self)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._report_timer = self.create_timer(diagnostics.REPORT_PERIOD, self._report, clock=steady)

    def configure(self) -> ConfiguredFusion:
        self.params = self._declared.read()
        return ConfiguredFusion(self, fused_adapters(self.params.adapters, lambda: self.params.traffic_light_group))

    def activate(self, configured: ConfiguredFusion) -> ActiveFusion:
        return ActiveFusion(self, configured, self.params)

    def _on_parameters(self, params: FusionParams) -> None:
        self.params = params
        if self.active is not None:
            self.active.merger.max_age = params.max_age

    def _report(self) -> None:
        name, now = self.get_fully_qualified_name(), self.get_clock().now()
        if self.configured is None and self.failure:
            values = {"lifecycle": self.lifecycle_state, "publishers": 0, "listeners": 0}
            self._diagnostics.publish(
                array_of(now.to_msg(), [status(f"{name}: Input", ERROR, self.failure, "", values)])
            )
        if self.configured is None or self.active is None:
            return
        statuses = [self._camera_status(name, camera, now.nanoseconds) for camera in self.active.merger.cameras]
        listeners = self.configured.publisher.get_subscription_count()
        self._diagnostics.publish(array_of(now.to_msg(), [*statuses, self._input_status(name, listeners)]))

    def _input_status(self, name: str, listeners: int) -> DiagnosticStatus:
        """Discovered publishers and listeners, with the keys of a camera node: one discovered later misses messages."""
        found = sum(self.count_publishers(topic) > 0 for topic in self.params.topic_of.values())
        values = {"lifecycle": "active", "publishers": found, "listeners": listeners}
        return status(f"{name}: Input", OK, f"{found} of {len(self.params.topic_of)} cameras found", name, values)

    def _camera_status(self, name: str, camera: CameraState, now_ns: int) -> DiagnosticStatus:
        stale = camera.stale(now_ns, self.params.max_age)
        text = "in time" if not stale else "no frame yet" if camera.frame is None else "too old, left out"
        level = ERROR if stale else WARN if camera.frame is not None and camera.frame.status else OK
        values = {
            "age_ms": camera.age_ms(now_ns),
            "rate": camera.rate,
            "received": camera.received,
            "dropped": camera.dropped,
        }
        return status(f"{name}: {camera.name}", level, text, camera.name, values)


def create(stop: Stop) -> list[FusionNode]:
    """One fusion node, started at once if its parameter `autostart` is true."""
    node = FusionNode(stop)
    node.autostart()
    return [node]
