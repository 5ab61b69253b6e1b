"""Lifecycle node that brings several cameras' PerceptionFrames into one FusedPerception at a fixed rate."""

from __future__ import annotations

import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSProfile, ReliabilityPolicy

from camera_perception.core.errors import PerceptionError
from camera_perception_msgs.msg import FusedPerception, PerceptionFrame
from camera_perception_ros.camera.diagnostics import OK, STALE, WARN, array_of, status
from camera_perception_ros.camera.subscriptions import ODOMETRY
from camera_perception_ros.conversions.messages import pose_from_odometry
from camera_perception_ros.fusion.camera_state import CameraState
from camera_perception_ros.fusion.merger import Merger
from camera_perception_ros.fusion.outputs import fused_outputs, surroundings_from_fused
from camera_perception_ros.outputs.publishers import OutputPublishers
from camera_perception_ros.params.fusion import FusionParams
from camera_perception_ros.params.params import Parameters
from camera_perception_ros.runtime.lifecycle import told
from camera_perception_ros.runtime.process import Stop

RELIABLE = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
VIEWS = 10.0  # markers and grids per second, for people: each costs more than fusing
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class FusionNode(LifecycleNode):
    def __init__(self, stop: Stop | None = None, name: str = "fusion", **options: Any) -> None:
        super().__init__(name, **options)
        self._declared = Parameters(self, FusionParams, self._tuned, lambda: self._merger is not None)
        self._merger: Merger | None = None
        self._active: list[Any] = []
        self._sequence = 0
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._report_timer = self.create_timer(1.0, self._report, clock=Clock(clock_type=ClockType.STEADY_TIME))

    @told
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            self.params = self._declared.read()
        except PerceptionError as error:
            self.get_logger().error(f"cannot configure: {error}")
            return FAILURE
        self._merger = self._fresh_merger()
        self._publisher = self.create_lifecycle_publisher(FusedPerception, "~/fused", RELIABLE)
        self._outputs = OutputPublishers(self, fused_outputs(), RELIABLE)
        return super().on_configure(state)

    @told
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._sequence = 0
        self._merger = self._fresh_merger()
        cameras = {camera.name: camera for camera in self._merger.cameras}
        self._active = [
            self.create_subscription(PerceptionFrame, topic, cameras[name].take, RELIABLE)
            for name, topic in self.params.topic_of.items()
        ]
        if self.params.odometry_topic:
            odometry = self.create_subscription(Odometry, self.params.odometry_topic, self._on_odometry, ODOMETRY)
            self._active.append(odometry)
        self._timer = self.create_timer(1 / self.params.rate, self._fuse)
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._pause()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._pause()
        if self._merger is not None:
            self.destroy_lifecycle_publisher(self._publisher)
            self._outputs.close()
        self._merger = None
        return SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self.on_cleanup(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self.on_cleanup(state)

    def start(self) -> None:
        """Configure and activate, for use without a lifecycle manager."""
        if self.trigger_configure() == SUCCESS:
            self.trigger_activate()

    def close(self) -> None:
        """Let listeners get what was published; called before the node is destroyed."""
        self._pause()
        if self._merger is not None:
            if self._publisher.get_subscription_count():
                self._publisher.wait_for_all_acked(Duration(seconds=1))
            self._outputs.flush(0.5)

    def _pause(self) -> None:
        if self._active:
            self.destroy_timer(self._timer)
        for subscription in self._active:
            self.destroy_subscription(subscription)
        self._active = []

    def _tuned(self, params: FusionParams) -> None:
        self.params = params
        if self._merger is not None:
            self._merger.max_age = params.max_age

    def _fresh_merger(self) -> Merger:
        cameras = [CameraState(name) for name in self.params.names]
        return Merger(cameras, self.params.base_frame, self.params.max_age)

    def _on_odometry(self, message: Odometry) -> None:
        if self._merger is not None:
            self._merger.odometry.add(*pose_from_odometry(message))

    def _fuse(self) -> None:
        started = time.perf_counter_ns()
        if self._merger is None:
            return
        message = self._merger.merge(self.get_clock().now().nanoseconds)
        message.seq, self._sequence = self._sequence, self._sequence + 1
        message.fuse_ms = (time.perf_counter_ns() - started) / 1e6
        self._publisher.publish(message)
        if message.seq % max(1, round(self.params.rate / VIEWS)) == 0 and self._outputs.wanted():
            self._outputs.publish(surroundings_from_fused(message, self._merger.roads), message.header)

    def _report(self) -> None:
        if not self._active or self._merger is None:
            return
        name, now = self.get_fully_qualified_name(), self.get_clock().now()
        statuses = [self._status(name, camera, now.nanoseconds) for camera in self._merger.cameras]
        self._diagnostics.publish(array_of(now.to_msg(), [*statuses, self._connections(name)]))

    def _connections(self, name: str) -> Any:
        """Whom it has found, in the words of a camera node: who is found later misses what was said before."""
        found = sum(self.count_publishers(topic) > 0 for topic in self.params.topic_of.values())
        listeners = self._publisher.get_subscription_count()
        values = {"lifecycle": "active", "publishers": found, "listeners": listeners}
        return status(f"{name}: Input", OK, f"{found} of {len(self.params.topic_of)} cameras found", name, values)

    def _status(self, name: str, camera: CameraState, now_ns: int) -> Any:
        stale = camera.stale(now_ns, self.params.max_age)
        text = "in time" if not stale else "never seen" if camera.frame is None else "too old, left out"
        level = STALE if stale else WARN if camera.frame is not None and camera.frame.status else OK
        values = {
            "age_ms": camera.age_ms(now_ns),
            "rate": camera.rate,
            "received": camera.received,
            "dropped": camera.dropped,
        }
        return status(f"{name}: {camera.name}", level, text, camera.name, values)


def create(stop: Stop) -> list[FusionNode]:
    """One fusion node, started at once when its `autostart` says so."""
    node = FusionNode(stop)
    if node.get_parameter("autostart").value:
        node.start()
    return [node]
