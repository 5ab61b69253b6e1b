"""Publishers for the topics of a recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from camera_perception.io.bag_reader import Bag
from camera_perception.io.offered_qos import by_name, is_latched, profile
from camera_perception_ros.conversions.serialized import message_class, starts_with_header
from camera_perception_ros.params.params import ParameterError
from camera_perception_ros.params.player import PlayerParams


class Channel(NamedTuple):
    """stamped: messages start with a header, whose stamp can be shifted."""

    publisher: Publisher
    stamped: bool


def open_channels(node: Node, bag: Bag, params: PlayerParams) -> dict[str, Channel]:
    """Channels by topic; ParameterError when a requested topic is not in the recording."""
    wanted = set(filter(None, params.topics)) or set(bag.topics)
    if absent := wanted - set(bag.topics):
        known = ", ".join(sorted(bag.topics))
        raise ParameterError(f"parameter 'topics' names {sorted(absent)[0]}: the recording has {known}")
    channels = {}
    for topic in sorted(wanted):
        cls = message_class(bag.topics[topic])
        if cls is None:
            node.get_logger().warning(f"{topic} is not played: {bag.topics[topic]} is not installed")
            continue
        latched = is_latched(bag.contents.qos.get(topic) or by_name(topic))
        channels[topic] = Channel(node.create_publisher(cls, topic, _qos(latched, params)), starts_with_header(cls))
    return channels


def recorded_profiles(offered: Sequence[QoSProfile]) -> list[Any]:
    """The profiles of a topic's publishers as a recording keeps them."""
    return [
        profile(
            latched=each.durability == DurabilityPolicy.TRANSIENT_LOCAL,
            reliable=each.reliability == ReliabilityPolicy.RELIABLE,
            depth=each.depth or 10,  # discovery does not tell the depth
        )
        for each in offered
    ]


def _qos(latched: bool, params: PlayerParams) -> QoSProfile:
    reliable = params.reliability == "reliable" or latched
    return QoSProfile(
        depth=params.depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )
