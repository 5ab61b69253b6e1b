"""The parts of a camera node that exist from configure to cleanup."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile, ReliabilityPolicy

from camera_perception.core.errors import PerceptionError
from camera_perception.engines.serving.model import Model, ModelRequest
from camera_perception_msgs.msg import PerceptionFrame
from camera_perception_ros.camera.calibration import Calibration
from camera_perception_ros.camera.models.model_server import ModelServer
from camera_perception_ros.camera.processor import FrameProcessor
from camera_perception_ros.outputs.adapters import ModelDescriptions, camera_adapters
from camera_perception_ros.outputs.publishers import (
    OutputPublishers,
    optional_outputs,
    overridable_publisher,
    standard_outputs,
)
from camera_perception_ros.params.camera import CameraParams
from camera_perception_ros.params.model_access import UNSIGNED, guarded
from camera_perception_ros.params.settings import Settings
from camera_perception_ros.runtime.process import Stop, Stopped

RELIABLE = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)


def camera_name(node: LifecycleNode, given: str) -> str:
    """Name of the camera in messages: as given, or the last part of the namespace, or the node's."""
    return given or node.get_namespace().rpartition("/")[2] or node.get_name()


class ConfiguredCamera:
    """Calibration, model and publishers; PerceptionError says why one of them cannot be opened.

    open_model    makes a Model of a ModelRequest
    live          the parameters as they are now
    """

    def __init__(
        self,
        node: LifecycleNode,
        params: CameraParams,
        settings: Settings,
        open_model: Callable[[ModelRequest], Model],
        live: Callable[[], CameraParams],
        stop: Stop | None,
    ) -> None:
        self._node = node
        name = camera_name(node, params.camera_name)
        adapters = camera_adapters(params.adapters, lambda: live().traffic_light_group)
        self.calibration = Calibration(node, params)
        clock, log = node.get_clock(), node.get_logger()
        self.processor = FrameProcessor(self.calibration, clock, name, params, settings, log)
        self._descriptions = ModelDescriptions(node, params.adapters)
        self.models = ModelServer(
            node, params, self.processor, guarded(open_model, params), name, self._descriptions.publish
        )
        if not params.keys:
            log.info(UNSIGNED)
        try:
            self.models.open(stop)
        except (PerceptionError, Stopped):
            self._close_model()
            raise
        self.publisher = overridable_publisher(node, PerceptionFrame, "~/perception", RELIABLE)
        optional, missing = optional_outputs()
        standard = standard_outputs(lambda: live().jpeg_quality)
        self.outputs = OutputPublishers(node, [*standard, *optional, *adapters], RELIABLE)
        if missing:
            node.get_logger().info(f"optional outputs disabled (package not installed): {', '.join(missing)}")

    def close(self) -> None:
        self._close_model()
        self._node.destroy_lifecycle_publisher(self.publisher)
        self.outputs.close()

    def _close_model(self) -> None:
        self.models.close()
        self._descriptions.close()
        self.calibration.close()
