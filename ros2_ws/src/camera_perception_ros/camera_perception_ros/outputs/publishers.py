"""What a node publishes beside its main message, each only while somebody listens; and what a camera node has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

from nav_msgs.msg import Path
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from camera_perception.core.model_spec import ModelSpec
from camera_perception.core.types import ClassMap, Perception
from camera_perception.draw import overlay
from camera_perception.draw.scene import surroundings_of
from camera_perception_ros.conversions import messages
from camera_perception_ros.outputs.markers import Shown, lane_path, markers


@dataclass(frozen=True)
class Output:
    """One topic on demand. build gets what OutputPublishers.publish gets, and returns None to say nothing."""

    topic: str
    type: type
    build: Callable[..., Any]


def _shown(perception: Perception) -> ClassMap | None:
    return perception.semantic or perception.drivable


def _mask(perception: Perception, header: Header, spec: ModelSpec) -> Image | None:
    shown = _shown(perception)
    return messages.message_from_ids(shown, header) if shown else None


def _colors(perception: Perception, header: Header, spec: ModelSpec) -> Image | None:
    shown = _shown(perception)
    return messages.message_from_colors(shown, header) if shown else None


def _overlay(perception: Perception, header: Header, spec: ModelSpec) -> Image:
    return messages.message_from_image(overlay(perception.frame.image, perception, spec), "bgr8", header)


def standard_outputs(jpeg_quality: Callable[[], int]) -> list[Output]:
    """Outputs whose messages every ROS 2 installation has."""

    def jpeg(perception: Perception, header: Header, spec: ModelSpec) -> CompressedImage:
        return messages.message_from_jpeg(overlay(perception.frame.image, perception, spec), jpeg_quality(), header)

    shown = Shown()

    def marked(perception: Perception, header: Header, spec: ModelSpec) -> MarkerArray:
        return shown.changed_to(markers(surroundings_of(perception, spec), header))

    def path(perception: Perception, header: Header, spec: ModelSpec, position: int) -> Path:
        return lane_path(surroundings_of(perception, spec), header, position)

    return [
        Output("~/overlay", Image, _overlay),
        Output("~/overlay/compressed", CompressedImage, jpeg),
        Output("~/segmentation/mask", Image, _mask),
        Output("~/segmentation/color", Image, _colors),
        Output("~/markers", MarkerArray, marked),
        Output("~/lane_left", Path, partial(path, position=-1)),
        Output("~/lane_right", Path, partial(path, position=1)),
    ]


# module of an optional output: what it gives
OPTIONAL = {"vision_msgs": "vision_msgs", "foxglove": "foxglove_msgs"}


def optional_outputs() -> tuple[list[Output], list[str]]:
    """Outputs whose packages are installed, and one line about those that are not."""
    outputs, missing = [], []
    for module, package in OPTIONAL.items():
        try:
            outputs += import_module(f"camera_perception_ros.outputs.{module}").OUTPUTS
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

    def publish(self, *seen: Any) -> None:
        """Hand what was seen to the builders; a camera node gives perception, header and model spec."""
        for output, publisher in self._publishers:
            if publisher.get_subscription_count():
                message = output.build(*seen)
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
