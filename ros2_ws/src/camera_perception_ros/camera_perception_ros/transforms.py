"""Where a camera sits according to TF: tf2_ros where it is installed, else what /tf_static and /tf themselves say."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.time import Time

from camera_perception.tf_tree import TfTree
from camera_perception_ros.convert import pose_from_transform, stamp_ns

MOVING = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
STATIC = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Transforms(Protocol):
    """Poses between frames; None as long as the two are not connected."""

    def base_from(self, base: str, frame: str) -> np.ndarray | None:
        """(4, 4) latest pose of frame in base, metres."""

    def close(self) -> None:
        """Stop listening."""


class Tf2:
    """A tf2 buffer and its listener."""

    def __init__(self, node: Node, tf2_ros: Any) -> None:
        self._buffer = tf2_ros.Buffer(node=node)
        self._listener = tf2_ros.TransformListener(self._buffer, node)

    def base_from(self, base: str, frame: str) -> np.ndarray | None:
        if not self._buffer.can_transform(base, frame, Time()):
            return None
        return pose_from_transform(self._buffer.lookup_transform(base, frame, Time()).transform)

    def close(self) -> None:
        self._listener.unregister()


class Heard:
    """What was heard on /tf_static and /tf."""

    def __init__(self, node: Node, kind: Any) -> None:
        """kind is tf2_msgs/msg/TFMessage."""
        self._node, self._tree = node, TfTree()
        self._ears = [
            node.create_subscription(kind, "/tf_static", self.on_static, STATIC),
            node.create_subscription(kind, "/tf", self.on_moving, MOVING),
        ]

    def on_static(self, message: Any) -> None:
        for transform in message.transforms:
            self._add(transform, None)

    def on_moving(self, message: Any) -> None:
        for transform in message.transforms:
            self._add(transform, stamp_ns(transform.header.stamp))

    def _add(self, message: Any, stamp: int | None) -> None:
        at, turned = message.transform.translation, message.transform.rotation
        quaternion = (turned.x, turned.y, turned.z, turned.w)
        self._tree.add(message.header.frame_id, message.child_frame_id, (at.x, at.y, at.z), quaternion, stamp)

    def base_from(self, base: str, frame: str) -> np.ndarray | None:
        return self._tree.base_from(base, frame)

    def close(self) -> None:
        for ear in self._ears:
            self._node.destroy_subscription(ear)


def listen(node: Node) -> Transforms | None:
    """The best listener there is; None, and a line in the log, where the TF messages are not installed."""
    try:
        import tf2_ros
    except ImportError:
        pass
    else:
        return Tf2(node, tf2_ros)
    try:
        from tf2_msgs.msg import TFMessage
    except ImportError:
        node.get_logger().info("tf2_msgs is not installed, so TF is not heard: set camera_pose to get metres")
        return None
    return Heard(node, TFMessage)
