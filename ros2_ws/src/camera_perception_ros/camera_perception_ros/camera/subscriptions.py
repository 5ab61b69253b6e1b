"""The subscriptions of a camera node: images, CameraInfo, odometry, depth images and lidar clouds."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from nav_msgs.msg import Odometry
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from camera_perception.core.documents.text import shorten
from camera_perception.objects.range_memory import RangeMemory
from camera_perception_ros.camera import image_transport
from camera_perception_ros.camera.image_transport import COMPRESSED, RAW, VIDEO, ImagePublishers, Publisher
from camera_perception_ros.camera.video_input import VIDEO_DEPTH, VideoInput
from camera_perception_ros.conversions.image_bytes import ImageBytes, image_from_bytes
from camera_perception_ros.conversions.messages import stamp_ns
from camera_perception_ros.params.camera import CameraParams

ODOMETRY = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
STEADY = Clock(clock_type=ClockType.STEADY_TIME)

Handler = Callable[[Any], None]


def image_subscription(node: Node, topic: str, handler: Callable[[ImageBytes | Image], None], qos: QoSProfile) -> Any:
    """A subscription of raw images that leaves their pixels in the bytes of the message."""

    def on_bytes(message: bytes) -> None:
        try:
            image = image_from_bytes(message)
        except Exception as error:  # of the middleware's own types
            text = shorten(f"an image on {topic} was lost, check its publisher: {error!r}")
            node.get_logger().error(text, throttle_duration_sec=5.0)
            return
        handler(image)

    return node.create_subscription(Image, topic, on_bytes, qos, raw=True)


def range_subscriptions(node: Node, params: CameraParams, memory: RangeMemory, qos: QoSProfile) -> list[Any]:
    """Subscriptions that only store: a message is decoded when an image needs it."""

    def on_depth(message: Image) -> None:
        memory.add_depth(stamp_ns(message.header.stamp), message)

    def on_cloud(message: PointCloud2) -> None:
        memory.add_cloud(stamp_ns(message.header.stamp), message)

    wanted = (Image, params.depth_topic, on_depth), (PointCloud2, params.lidar_topic, on_cloud)
    return [node.create_subscription(type_, topic, handler, qos) for type_, topic, handler in wanted if topic]


def message_class(transport: str) -> Any:
    """The message class of a transport; of video from a package that is imported only then."""
    package, _, name = image_transport.IMAGE_TYPES[transport].split("/")
    return getattr(import_module(f"{package}.msg"), name)


class CameraInput:
    """Subscribes to raw or compressed images, CameraInfo, odometry and range sensors.

    With transport `auto` it waits until images are published and prefers raw ones.
    transport  raw or compressed; None until it is chosen
    ranges     stores depth images and lidar clouds; None without both
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
        self.transport: str | None = None
        self._found_before: str | None = None
        self._video: VideoInput | None = None
        self._subscriptions = [node.create_subscription(CameraInfo, params.info_topic, on_info, self._qos())]
        if params.odometry_topic:
            odometry = node.create_subscription(Odometry, params.odometry_topic, on_odometry, ODOMETRY)
            self._subscriptions.append(odometry)
        if ranges is not None:
            self._subscriptions += range_subscriptions(node, params, ranges, self._qos())
        if params.transport != "auto":
            self._subscribe(params.transport)
        # Steady time: with use_sim_time images must be found before the first /clock.
        self._timer = node.create_timer(0.2, self._choose_transport, clock=STEADY)

    def _qos(self) -> QoSProfile:
        reliable = self._params.input_reliability == "reliable"
        return QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=self._params.input_depth,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.VOLATILE,
        )

    def _choose_transport(self) -> None:
        """Subscribe to what is published. All but raw must be found twice: raw may be discovered a little later."""
        if self.transport is not None:
            return
        transport = image_transport.choose(self._image_publishers())
        if transport is None or image_transport.missing_packages(transport):
            return
        if transport in (RAW, self._found_before):
            self._subscribe(transport)
        self._found_before = transport

    def _subscribe(self, transport: str) -> None:
        self.transport = transport
        if image_transport.missing_packages(transport):
            return  # silence_reason names them
        handler, qos = self._on_image, self._qos()
        if transport in VIDEO:
            limit = self._params.max_megapixels * 1_000_000
            self._video = VideoInput(self._on_image, self._node.get_logger(), limit)
            handler, qos.depth = self._video.put, VIDEO_DEPTH
        topic = self._topic(transport)
        if transport == RAW:
            self._subscriptions.append(image_subscription(self._node, topic, handler, qos))
            return
        self._subscriptions.append(self._node.create_subscription(message_class(transport), topic, handler, qos))

    def _topic(self, transport: str) -> str:
        return image_transport.topic_of(self._params.image_topic, transport)

    def _image_publishers(self) -> ImagePublishers:
        topics = {each: self._node.resolve_topic_name(self._topic(each)) for each in image_transport.IMAGE_TYPES}
        found = {each: self._publishers(topic) for each, topic in topics.items()}
        return ImagePublishers(topics[RAW], found.pop(RAW), found.pop(COMPRESSED), found)

    def _publishers(self, topic: str) -> list[Publisher]:
        infos = self._node.get_publishers_info_by_topic(topic)
        return [
            Publisher(info.node_name, info.topic_type, info.qos_profile.reliability == ReliabilityPolicy.RELIABLE)
            for info in infos
        ]

    @property
    def topic(self) -> str:
        """The topic of the subscribed images; empty until it is chosen."""
        return self._node.resolve_topic_name(self._topic(self.transport)) if self.transport is not None else ""

    @property
    def publishers(self) -> int:
        """Number of publishers of the subscribed images."""
        if self.transport is None:
            return 0
        return len(image_transport.of_type(self._publishers(self.topic), self.transport))

    def silence_reason(self) -> str:
        """One line about why no image arrives."""
        return image_transport.diagnose(
            self._image_publishers(), self.transport, self._params.input_reliability == "reliable"
        )

    def close(self) -> None:
        self._node.destroy_timer(self._timer)
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        if self._video is not None:
            self._video.close()
