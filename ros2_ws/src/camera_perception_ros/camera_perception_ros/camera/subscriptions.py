"""Where a camera node's images come from: the subscriptions and what the graph says about them.

Depth images and lidar clouds beside a camera's images: subscribed to where parameters name them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from camera_perception.objects.range_memory import RangeMemory
from camera_perception_ros.camera import qos
from camera_perception_ros.camera.qos import COMPRESSED, Observations, Publisher
from camera_perception_ros.conversions.messages import stamp_ns
from camera_perception_ros.params.camera import CameraParams


def range_subscriptions(node: Node, params: CameraParams, memory: RangeMemory, qos: QoSProfile) -> list[Any]:
    """Subscriptions that only remember: messages are read when an image wants them."""

    def on_depth(message: Image) -> None:
        memory.add_depth(stamp_ns(message.header.stamp), message)

    def on_cloud(message: PointCloud2) -> None:
        memory.add_cloud(stamp_ns(message.header.stamp), message)

    wanted = (Image, params.depth_topic, on_depth), (PointCloud2, params.lidar_topic, on_cloud)
    return [node.create_subscription(kind, topic, heard, qos) for kind, topic, heard in wanted if topic]


ODOMETRY = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)

Handler = Callable[[Any], None]


class CameraInput:
    """Subscribes to raw or compressed images and to CameraInfo. With transport `auto`, call look() until it chose.

    ranges  remembers what a depth camera and a lidar say; None without both
    """

    def __init__(
        self,
        node: Node,
        params: CameraParams,
        on_image: Handler,
        on_info: Handler,
        on_odometry: Handler,
        ranges: RangeMemory | None = None,
    ) -> None:
        self._node, self._params, self._on_image = node, params, on_image
        self._images: Any = None
        self.transport: str | None = None
        self._seen_compressed = False
        self._infos = node.create_subscription(CameraInfo, params.info_topic, on_info, self._qos())
        self._odometry = None
        if params.odometry_topic:
            self._odometry = node.create_subscription(Odometry, params.odometry_topic, on_odometry, ODOMETRY)
        self._ranges = range_subscriptions(node, params, ranges, self._qos()) if ranges is not None else []
        if params.transport != "auto":
            self._subscribe(params.transport)

    def _qos(self) -> QoSProfile:
        reliable = self._params.input_reliability == "reliable"
        return QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=self._params.input_depth,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.VOLATILE,
        )

    def look(self) -> None:
        """Choose a transport from what is published. Compressed waits for a second look: raw may be found later."""
        if self.transport is not None:
            return
        choice = qos.choose(self.seen())
        if choice == COMPRESSED and not self._seen_compressed:
            self._seen_compressed = True
        elif choice is not None:
            self._subscribe(choice)

    def _subscribe(self, transport: str) -> None:
        self.transport = transport
        kind = CompressedImage if transport == COMPRESSED else Image
        self._images = self._node.create_subscription(kind, self._topic(transport), self._on_image, self._qos())

    def _topic(self, transport: str) -> str:
        return self._params.image_topic + ("/compressed" if transport == COMPRESSED else "")

    def seen(self) -> Observations:
        """Who publishes what at our topics now."""
        raw, compressed = (self._node.resolve_topic_name(self._topic(kind)) for kind in (qos.RAW, COMPRESSED))
        return Observations(raw, self._publishers(raw), self._publishers(compressed))

    def _publishers(self, topic: str) -> list[Publisher]:
        infos = self._node.get_publishers_info_by_topic(topic)
        return [
            Publisher(info.node_name, info.topic_type, info.qos_profile.reliability == ReliabilityPolicy.RELIABLE)
            for info in infos
        ]

    @property
    def publishers(self) -> int:
        """How many publish what we subscribed to."""
        if self.transport is None:
            return 0
        topic = self._node.resolve_topic_name(self._topic(self.transport))
        return len(qos.of_type(self._publishers(topic), self.transport))

    def why_silent(self) -> str | None:
        """One line about the missing images."""
        return qos.diagnose(self.seen(), self.transport, self._params.input_reliability == "reliable")

    def close(self) -> None:
        for subscription in (self._images, self._infos, self._odometry, *self._ranges):
            if subscription is not None:
                self._node.destroy_subscription(subscription)
        self._images = self._infos = self._odometry = None
        self._ranges = []
