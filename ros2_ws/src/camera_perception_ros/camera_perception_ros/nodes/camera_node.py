"""Lifecycle node of one camera: images and CameraInfo in, PerceptionFrame out.

configure loads and tests the model; activate subscribes; deactivate keeps the engine. An error in configure leaves the
node unconfigured, with one line that says what to do; a later error degrades the output. Only an error after which
CUDA needs a new process ends this one, for `respawn` to start it again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.parameter import Parameter

from camera_perception.core.telemetry import GpuReading, gpu_reader
from camera_perception.engines.serving.model import Model, ModelRequest, open_model
from camera_perception_ros.camera import diagnostics, report
from camera_perception_ros.camera.active import ActiveCamera
from camera_perception_ros.camera.configured import ConfiguredCamera, camera_name
from camera_perception_ros.camera.models.load_service import LoadModelService
from camera_perception_ros.camera.models.model_server import ModelServer
from camera_perception_ros.params.camera import CameraParams
from camera_perception_ros.params.lock import ParameterLock
from camera_perception_ros.params.params import Parameters
from camera_perception_ros.params.settings import SettingParameters
from camera_perception_ros.runtime.lifecycle import ManagedNode
from camera_perception_ros.runtime.process import EXIT_CONTEXT_LOST, Stop


class CameraNode(ManagedNode[ConfiguredCamera, ActiveCamera]):
    def __init__(
        self,
        stop: Stop | None = None,
        name: str = "camera",
        open_model: Callable[[ModelRequest], Model] = open_model,
        **options: Any,
    ) -> None:
        """open_model makes a Model of a ModelRequest: cameras of one process may share one."""
        super().__init__(name, **options)
        self._stop = stop
        self._open_model, self._keeping = open_model, False
        self._settings = SettingParameters(self, self._frozen)
        self._declared = Parameters(self, CameraParams, self._on_parameters, self._frozen, self._settings.names)
        self._load_service = None
        if self.get_parameter("load_service").value:
            self._load_service = LoadModelService(self, self._models, self._keep_model)
        self._lock = ParameterLock(self)
        self._read_gpu = gpu_reader()
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # Steady time: with use_sim_time the node must report before the first /clock.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(diagnostics.REPORT_PERIOD, self._report, clock=steady)

    def configure(self) -> ConfiguredCamera:
        self.params, settings = self._declared.read(), self._settings.read()
        return ConfiguredCamera(
            self,
            self.params,
            settings,
            self._open_model,
            lambda: self.params,
            self._stop,
        )

    def destroy_node(self) -> None:
        if self._load_service is not None:
            self._load_service.finish()
        super().destroy_node()

    def _models(self) -> ModelServer | None:
        return self.configured.models if self.configured is not None else None

    def _frozen(self) -> bool:
        return self.configured is not None and not self._keeping

    def _keep_model(self, folder: str) -> None:
        """Make a model loaded by service the parameter `model`, so that the next configure opens it again."""
        self._keeping = True
        try:
            with self._lock.opened():
                self.set_parameters([Parameter("model", value=folder)])
        finally:
            self._keeping = False

    def activate(self, configured: ConfiguredCamera) -> ActiveCamera:
        return ActiveCamera(self, configured, self.params)

    def _on_parameters(self, params: CameraParams) -> None:
        self.params = params
        if self.configured is not None:
            self.configured.processor.tune(params)

    def _report(self) -> None:
        """React to a failure of the engine or to silence, and publish diagnostics."""
        gpu = self._read_gpu() if self._read_gpu is not None else None
        if self.configured is not None:
            self.configured.processor.report_heat(gpu is not None and gpu.hot)
            self._react_to_failure(self.configured)
        if self.active is not None:
            self.active.check_silence(self.params.silence)
        name, stamp = self.get_fully_qualified_name(), self.get_clock().now().to_msg()
        self._diagnostics.publish(report.report(name, stamp, self._state(gpu)))

    def _react_to_failure(self, configured: ConfiguredCamera) -> None:
        if self.active is None or not (failure := configured.processor.check_engine()):
            return
        if configured.processor.fatal and self._stop is not None:
            self.get_logger().fatal(f"ending this process: {failure}")
            self._stop.request(EXIT_CONTEXT_LOST)
            return
        name = self.get_fully_qualified_name()
        steps = " && ".join(f"ros2 lifecycle set {name} {step}" for step in ("cleanup", "configure", "activate"))
        self.get_logger().error(f"the engine is lost, deactivating the camera: {failure}. To revive it: {steps}")
        self.trigger_deactivate()

    def _state(self, gpu: GpuReading | None) -> report.State:
        active = self.active
        return report.State(
            lifecycle=self.lifecycle_state,
            configured=self.configured,
            input=active.input_state() if active is not None else report.InputState(),
            gpu=gpu,
            fusion=active.fusion if active is not None else None,
            camera=camera_name(self, self.get_parameter("camera_name").value),
            failure=self.failure,
        )


def create(stop: Stop) -> list[CameraNode]:
    """One camera node, started at once if its parameter `autostart` is true."""
    node = CameraNode(stop)
    node.autostart()
    return [node]
