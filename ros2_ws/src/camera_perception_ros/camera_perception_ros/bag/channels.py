"""Publishers for the topics of a recording."""

from __future__ import annotations

from typing import NamedTuple

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from camera_perception.io.bag_reader import Bag
from camera_perception_ros.conversions.serialized import message_class, starts_with_header
from camera_perception_ros.params.params import ParameterError
from camera_perception_ros.params.player import PlayerParams

LATCHED = ("/tf_static", "/robot_description")


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
        channels[topic] = Channel(node.create_publisher(cls, topic, _qos(topic, params)), starts_with_header(cls))
    return channels


def _qos(topic: str, params: PlayerParams) -> QoSProfile:
    reliable = params.reliability == "reliable" or topic in LATCHED
    return QoSProfile(
        depth=params.depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if topic in LATCHED else DurabilityPolicy.VOLATILE,
    )
