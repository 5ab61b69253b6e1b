"""Depth images and lidar clouds beside a camera's images: subscribed to where parameters name them."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image, PointCloud2

from camera_perception.range_memory import RangeMemory
from camera_perception_ros.camera_params import CameraParams
from camera_perception_ros.convert import stamp_ns


def range_subscriptions(node: Node, params: CameraParams, memory: RangeMemory, qos: QoSProfile) -> list[Any]:
    """Subscriptions that only remember: messages are read when an image wants them."""

    def on_depth(message: Image) -> None:
        memory.add_depth(stamp_ns(message.header.stamp), message)

    def on_cloud(message: PointCloud2) -> None:
        memory.add_cloud(stamp_ns(message.header.stamp), message)

    wanted = (Image, params.depth_topic, on_depth), (PointCloud2, params.lidar_topic, on_cloud)
    return [node.create_subscription(kind, topic, heard, qos) for kind, topic, heard in wanted if topic]
