"""What a camera node publishes beside PerceptionFrame, each only while somebody listens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from nav_msgs.msg import Path
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from camera_perception.draw import overlay
from camera_perception.model_spec import ModelSpec
from camera_perception.types import ClassMap, Perception
from camera_perception_ros import convert
from camera_perception_ros.markers import lane_path, markers

Build = Callable[[Perception, Header, ModelSpec], Any]


@dataclass(frozen=True)
class Output:
    """One topic on demand. build returns None when this frame has nothing for it."""

    topic: str
    type: type
    build: Build


def _shown(perception: Perception) -> ClassMap | None:
    return perception.semantic or perception.drivable


def _mask(perception: Perception, header: Header, spec: ModelSpec) -> Image | None:
    shown = _shown(perception)
    return convert.message_from_ids(shown, header) if shown else None


def _colors(perception: Perception, header: Header, spec: ModelSpec) -> Image | None:
    shown = _shown(perception)
    return convert.message_from_colors(shown, header) if shown else None


def _overlay(perception: Perception, header: Header, spec: ModelSpec) -> Image:
    return convert.message_from_image(overlay(perception.frame.image, perception, spec), "bgr8", header)


def standard_outputs(jpeg_quality: Callable[[], int]) -> list[Output]:
    """Outputs whose messages every ROS 2 installation has."""

    def jpeg(perception: Perception, header: Header, spec: ModelSpec) -> CompressedImage:
        return convert.message_from_jpeg(overlay(perception.frame.image, perception, spec), jpeg_quality(), header)

    return [
        Output("~/overlay", Image, _overlay),
        Output("~/overlay/compressed", CompressedImage, jpeg),
        Output("~/segmentation/mask", Image, _mask),
        Output("~/segmentation/color", Image, _colors),
        Output("~/markers", MarkerArray, markers),
        Output("~/lane_left", Path, lambda perception, header, spec: lane_path(perception, header, -1)),
        Output("~/lane_right", Path, lambda perception, header, spec: lane_path(perception, header, 1)),
    ]


# module of an optional output: what it gives
OPTIONAL = {"vision_outputs": "vision_msgs", "foxglove_outputs": "foxglove_msgs"}


def optional_outputs() -> tuple[list[Output], list[str]]:
    """Outputs whose packages are installed, and one line about those that are not."""
    outputs, missing = [], []
    for module, package in OPTIONAL.items():
        try:
            outputs += import_module(f"camera_perception_ros.{module}").OUTPUTS
        except ModuleNotFoundError as error:
            if error.name is None or not error.name.startswith(package):
                raise
            missing.append(package)
    return outputs, missing


class OutputPublishers:
    """The publishers of a node's outputs; publish() builds only what somebody listens to."""

    def __init__(self, node: LifecycleNode, outputs: list[Output], qos: QoSProfile) -> None:
        self._node = node
        self._publishers = [
            (output, node.create_lifecycle_publisher(output.type, output.topic, qos)) for output in outputs
        ]

    def wanted(self) -> bool:
        """Whether anybody listens to any of them."""
        return any(publisher.get_subscription_count() for _, publisher in self._publishers)

    def publish(self, perception: Perception, header: Header, spec: ModelSpec) -> None:
        for output, publisher in self._publishers:
            if publisher.get_subscription_count():
                message = output.build(perception, header, spec)
                if message is not None:
                    publisher.publish(message)

    def flush(self, seconds: float) -> None:
        """Wait until reliable listeners have everything, at most so long."""
        from rclpy.duration import Duration

        for _, publisher in self._publishers:
            if publisher.get_subscription_count():
                publisher.wait_for_all_acked(Duration(seconds=seconds))

    def close(self) -> None:
        for _, publisher in self._publishers:
            self._node.destroy_lifecycle_publisher(publisher)
        self._publishers = []
