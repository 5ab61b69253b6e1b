"""The optional outputs of a node, built and published only while they have subscribers."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

from nav_msgs.msg import Path
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode
from rclpy.publisher import PublisherEventCallbacks  # in rclpy.qos_event before Iron
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from camera_perception.core.model_spec import ModelSpec
from camera_perception.core.types import ClassMap, Perception
from camera_perception.draw import overlay
from camera_perception.draw.scene import surroundings_of
from camera_perception_ros.conversions import messages
from camera_perception_ros.outputs.markers import MarkerUpdates, lane_path, markers


def overridable_publisher(
    node: LifecycleNode, kind: type, topic: str, qos: QoSProfile, events: PublisherEventCallbacks | None = None
) -> Any:
    """A publisher whose QoS parameters change: qos_overrides.TOPIC.publisher.reliability, .depth and .history.

    rclpy writes them into the profile that it is given: other publishers must not share it.
    events  None: warnings about subscribers that do not fit
    """
    options = QoSOverridingOptions.with_default_policies()
    return node.create_lifecycle_publisher(
        kind, topic, copy(qos), qos_overriding_options=options, event_callbacks=events
    )


@dataclass(frozen=True)
class Output:
    """One optional topic.

    build  gets the arguments of OutputPublishers.publish; returns a message, its bytes, or None: nothing to publish
    """

    topic: str
    type: type
    build: Callable[..., Any]


def _class_map(perception: Perception) -> ClassMap | None:
    return perception.semantic or perception.drivable


def _mask(perception: Perception, header: Header, spec: ModelSpec) -> Image | None:
    class_map = _class_map(perception)
    return messages.message_from_ids(class_map, header) if class_map else None


def _colors(perception: Perception, header: Header, spec: ModelSpec) -> Image | None:
    class_map = _class_map(perception)
    return messages.message_from_colors(class_map, header) if class_map else None


def _overlay(perception: Perception, header: Header, spec: ModelSpec) -> Image:
    return messages.message_from_image(overlay(perception.frame.image, perception, spec), "bgr8", header)


def standard_outputs(jpeg_quality: Callable[[], int]) -> list[Output]:
    """The outputs whose message types are part of every ROS 2 installation."""

    def jpeg(perception: Perception, header: Header, spec: ModelSpec) -> CompressedImage:
        return messages.message_from_jpeg(overlay(perception.frame.image, perception, spec), jpeg_quality(), header)

    updates = MarkerUpdates()

    def marker_array(perception: Perception, header: Header, spec: ModelSpec) -> bytes:
        return updates.message(markers(surroundings_of(perception, spec), header))

    def path(perception: Perception, header: Header, spec: ModelSpec, position: int) -> Path:
        return lane_path(surroundings_of(perception, spec), header, position)

    return [
        Output("~/overlay", Image, _overlay),
        Output("~/overlay/compressed", CompressedImage, jpeg),
        Output("~/segmentation/mask", Image, _mask),
        Output("~/segmentation/color", Image, _colors),
        Output("~/markers", MarkerArray, marker_array),
        Output("~/lane_left", Path, partial(path, position=-1)),
        Output("~/lane_right", Path, partial(path, position=1)),
    ]


# module here: package of its messages
OPTIONAL = {"vision_msgs": "vision_msgs", "foxglove": "foxglove_msgs"}


def optional_outputs() -> tuple[list[Output], list[str]]:
    """The outputs whose message packages are installed, and the names of the missing packages."""
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
    """The publishers of a node's outputs; publish() builds only what has subscribers."""

    def __init__(self, node: LifecycleNode, outputs: list[Output], qos: QoSProfile) -> None:
        self._node = node
        # A subscriber that does not fit logs that itself. Two events for each output would double what the executor
        # waits for, and its wait set is built again for every image.
        quiet = PublisherEventCallbacks(use_default_callbacks=False)
        self._publishers = [
            (output, overridable_publisher(node, output.type, output.topic, qos, quiet)) for output in outputs
        ]

    def wanted(self) -> bool:
        """Whether any output has a subscriber."""
        return any(publisher.get_subscription_count() for _, publisher in self._publishers)

    def publish(self, *content: Any) -> None:
        """Build and publish outputs from this content; a camera node gives perception, header and model spec."""
        for output, publisher in self._publishers:
            if publisher.get_subscription_count():
                message = output.build(*content)
                if message is not None:
                    publisher.publish(message)

    def flush(self, seconds: float) -> None:
        """Wait until reliable subscribers have received everything, with this limit per topic."""
        for _, publisher in self._publishers:
            if publisher.get_subscription_count():
                publisher.wait_for_all_acked(Duration(seconds=seconds))

    def close(self) -> None:
        for _, publisher in self._publishers:
            self._node.destroy_lifecycle_publisher(publisher)
        self._publishers = []
