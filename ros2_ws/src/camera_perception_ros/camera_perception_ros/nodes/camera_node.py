"""Lifecycle node of one camera: images and CameraInfo in, PerceptionFrame out.

configure loads and tries the model; activate subscribes; deactivate keeps the engine. What fails in configure leaves
the node unconfigured with one line that says what to do; what fails later degrades the output, never ends the process.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from camera_perception.core.errors import PerceptionError
from camera_perception.core.model_spec import ModelSpec
from camera_perception.core.telemetry import GpuReading, gpu_reader
from camera_perception.core.types import Perception, Status
from camera_perception.engines.serving.model import Model, ModelRequest, open_model
from camera_perception.objects.range_memory import RangeMemory
from camera_perception_msgs.msg import PerceptionFrame
from camera_perception_ros.camera import report
from camera_perception_ros.camera.calibration import Calibration
from camera_perception_ros.camera.fusion_watch import FusionWatch
from camera_perception_ros.camera.model_server import ModelServer
from camera_perception_ros.camera.processor import Perceiver
from camera_perception_ros.camera.subscriptions import CameraInput
from camera_perception_ros.conversions.messages import pose_from_odometry
from camera_perception_ros.outputs.publishers import OutputPublishers, optional_outputs, standard_outputs
from camera_perception_ros.params.camera import CameraParams
from camera_perception_ros.params.params import Parameters
from camera_perception_ros.runtime.lifecycle import told
from camera_perception_ros.runtime.process import Stop, Stopped
from camera_perception_ros.runtime.worker import Worker

RELIABLE = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
HAND_OVER = 5e-5  # seconds that a callback sleeps, for the worker to begin
STEADY = Clock(clock_type=ClockType.STEADY_TIME)
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class CameraNode(LifecycleNode):
    def __init__(
        self,
        stop: Stop | None = None,
        name: str = "camera",
        open_model: Callable[[ModelRequest], Model] = open_model,
        **options: Any,
    ) -> None:
        """open_model makes a Model of a choice: cameras of one process may share one."""
        super().__init__(name, **options)
        self._stop = stop
        self._open_model = open_model
        self._declared = Parameters(self, CameraParams, self._tuned, lambda: self._perceiver is not None)
        self._perceiver: Perceiver | None = None
        self._input: CameraInput | None = None
        self._fusion: FusionWatch | None = None
        self._worker: Worker[Any] | None = None
        self._drawer: Worker[tuple[Perception, Header, ModelSpec]] | None = None
        self._outputs: OutputPublishers | None = None
        self._last_image = time.monotonic()
        self._why_silent = ""
        self._read_gpu = gpu_reader()
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # Steady time: with use_sim_time the node must look for images before the first /clock.
        self._timer = self.create_timer(1.0, self._report, clock=STEADY)
        self._look = self.create_timer(0.2, self._look_for_images, clock=STEADY)

    # Transitions

    @told
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            self._configure()
        except PerceptionError as error:
            self.get_logger().error(f"cannot configure: {error}")
            return FAILURE
        except Stopped:
            return FAILURE
        return super().on_configure(state)

    @told
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        result = super().on_activate(state)
        self._worker = Worker(self._work, self._work_failed, f"{self.get_name()} worker")
        self._drawer = Worker(self._draw, self._work_failed, f"{self.get_name()} drawer")
        self._last_image, self._why_silent = time.monotonic(), ""
        ranges = self._perceiver.ranges if self._perceiver is not None else None
        # What lives by now lives on: without it, looking for garbage takes a moment instead of a frame's time.
        gc.collect()
        gc.freeze()
        self._fusion = FusionWatch(self, self.params.watched_fusion) if self.params.watched_fusion else None
        self._input = CameraInput(self, self.params, self._on_image, self._on_info, self._on_odometry, ranges)
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._pause()
        gc.unfreeze()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._pause()
        self._close_model()
        return SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self.on_cleanup(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.get_logger().error("a transition failed; the node is unconfigured again")
        return self.on_cleanup(state)

    def start(self) -> None:
        """Configure and activate, for use without a lifecycle manager."""
        if self.trigger_configure() == SUCCESS:
            self.trigger_activate()

    def close(self) -> None:
        """Finish the frame at hand and let listeners get it; called before the node is destroyed."""
        self._pause()
        self._close_model()

    # What the transitions do

    def _configure(self) -> None:
        params = self.params = self._declared.read()
        self._name = params.camera_name or self.get_namespace().rpartition("/")[2] or self.get_name()
        self._calibration = Calibration(self, params)
        self._perceiver = self._ready(params)
        self._publisher = self.create_lifecycle_publisher(PerceptionFrame, "~/perception", RELIABLE)
        optional, missing = optional_outputs()
        self._outputs = OutputPublishers(self, standard_outputs(lambda: self.params.jpeg_quality) + optional, RELIABLE)
        if missing:
            self.get_logger().info(f"not installed, so without their outputs: {', '.join(missing)}")

    def _ready(self, params: CameraParams) -> Perceiver:
        """A perceiver with its model, or what stands in for it."""
        perceiver = Perceiver(self._calibration, self.get_clock(), self._name, params.base_frame, self.get_logger())
        perceiver.tune(params.thresholds, params.max_input_age)
        perceiver.profile = params.profile
        if params.depth_topic or params.lidar_topic:
            perceiver.ranges = RangeMemory(params.depth_topic, params.lidar_topic, self._calibration.base_from)
        self._models = ModelServer(self, params, perceiver, self._open_model, self._name)
        try:
            self._models.open(self._stop)
        except (PerceptionError, Stopped):
            self._models.close()
            self._calibration.close()
            raise
        return perceiver

    def _pause(self) -> None:
        if self._input is not None:
            self._input.close()
            self._input = None
        if self._fusion is not None:
            self._fusion.close()
            self._fusion = None
        if self._worker is not None and self._drawer is not None:
            if not self._worker.close(timeout=3.0):
                self.get_logger().error("the engine does not come back; its thread is left behind")
            self._drawer.close(timeout=1.0)
            self._worker = self._drawer = None
            self._flush()

    def _flush(self) -> None:
        if self._publisher.get_subscription_count():
            self._publisher.wait_for_all_acked(Duration(seconds=1))
        if self._outputs is not None:
            self._outputs.flush(0.5)

    def _close_model(self) -> None:
        if self._perceiver is None:
            return
        self._models.close()
        self._perceiver = None
        self._calibration.close()
        self.destroy_lifecycle_publisher(self._publisher)
        if self._outputs is not None:
            self._outputs.close()

    # Callbacks of the executor: all short

    def _on_image(self, message: Any) -> None:
        self._last_image = time.monotonic()
        if self._worker is not None:
            self._worker.slot.put(message)
            # Or the worker gets the interpreter only once the executor has built its next wait set: half a millisecond.
            time.sleep(HAND_OVER)

    def _on_info(self, message: CameraInfo) -> None:
        self._calibration.on_info(message)

    def _on_odometry(self, message: Odometry) -> None:
        if self._perceiver is not None:
            self._perceiver.odometry.add(*pose_from_odometry(message))

    def _look_for_images(self) -> None:
        if self._input is not None:
            self._input.look()

    def _tuned(self, params: CameraParams) -> None:
        self.params = params
        if self._perceiver is not None:
            self._perceiver.tune(params.thresholds, params.max_input_age)

    def _report(self) -> None:
        self._give_up_on_a_broken_engine()
        self._notice_silence()
        message = report.report(self.get_fully_qualified_name(), self.get_clock().now().to_msg(), self._state())
        self._diagnostics.publish(message)

    def _give_up_on_a_broken_engine(self) -> None:
        if self._perceiver is None or self._worker is None:
            return
        if self._perceiver.stuck:
            self._perceiver.broken = "the engine does not come back: look at dmesg, then start the node again"
        if self._perceiver.broken:
            self.get_logger().error(f"the engine is lost, the camera is deactivated: {self._perceiver.broken}")
            self.trigger_deactivate()

    def _state(self) -> report.State:
        slot = self._worker.slot if self._worker is not None else None
        return report.State(
            lifecycle=self._state_machine.current_state[1],
            perceiver=self._perceiver,
            calibration=self._calibration if self._perceiver is not None else None,
            transport=self._input.transport if self._input is not None else None,
            publishers=self._input.publishers if self._input is not None else 0,
            listeners=self._publisher.get_subscription_count() if self._input is not None else 0,
            received=slot.received if slot is not None else 0,
            replaced=slot.replaced if slot is not None else 0,
            why_silent=self._why_silent,
            gpu=self._gpu(),
            fusion=self._fusion,
            build=self._models.build if self._perceiver is not None else None,
        )

    def _gpu(self) -> GpuReading | None:
        """A look at the GPU, where there is one; frames say when it is hot."""
        reading = self._read_gpu() if self._read_gpu is not None else None
        if self._perceiver is not None:
            self._perceiver.extra = Status.THERMAL if reading is not None and reading.hot else Status(0)
        return reading

    def _notice_silence(self) -> None:
        if self._input is None or time.monotonic() - self._last_image < self.params.silence:
            self._why_silent = ""
            return
        why = self._input.why_silent() or "no image arrives"
        if why != self._why_silent:
            self.get_logger().warning(why)
        self._why_silent = why

    # The worker threads

    def _work(self, taken: Any) -> None:
        if self._perceiver is not None and not self._perceiver.broken:
            self._perceiver.work(taken, self._publish)

    def _publish(self, data: bytes, perception: Perception | None, header: Header) -> None:
        self._publisher.publish(data)
        if perception is None or self._perceiver is None or self._perceiver.model is None:
            return
        if self._drawer is not None and self._outputs is not None and self._outputs.wanted():
            self._drawer.slot.put((perception, header, self._perceiver.model.spec))

    def _draw(self, taken: Any) -> None:
        """In a thread of its own: pictures for people never hold up the next frame, they skip it."""
        if self._outputs is not None:
            self._outputs.publish(*taken.item)

    def _work_failed(self, error: Exception) -> None:
        self.get_logger().error(f"a frame was lost: {error!r}", throttle_duration_sec=5.0)


def create(stop: Stop) -> list[CameraNode]:
    """One camera node, started at once when its `autostart` says so."""
    node = CameraNode(stop)
    if node.get_parameter("autostart").value:
        node.start()
    return [node]
