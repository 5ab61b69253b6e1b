"""The minimal node: answers each image with its header."""

from __future__ import annotations

from typing import Any

from camera_perception_ros.bench.names import ANSWER, CAMERA, ECHO, ECHO_IMAGES
from camera_perception_ros.runtime.process import Stop, leave_with, run


def create(stop: Stop) -> list[Any]:
    from rclpy.node import Node
    from sensor_msgs.msg import Image
    from std_msgs.msg import Header

    node = Node("echo", start_parameter_services=False)
    answer = node.create_publisher(Header, ECHO, ANSWER)
    node.create_subscription(Image, ECHO_IMAGES, lambda image: answer.publish(image.header), CAMERA)
    return [node]


if __name__ == "__main__":
    leave_with(run(create))
