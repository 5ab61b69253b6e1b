"""Counts images and writes their stamps when it ends: `python -m camera_perception_ros.bench.endpoints.counter`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from camera_perception_ros.bench.names import CAMERA
from camera_perception_ros.runtime.process import Stop, leave_with, run


def create(stop: Stop) -> list[Any]:
    from rclpy.node import Node
    from sensor_msgs.msg import Image

    from camera_perception_ros.conversions.messages import stamp_ns

    topic, file = sys.argv[1:3]
    stamps: list[int] = []

    class Counter(Node):
        def close(self) -> None:
            Path(file).write_text(json.dumps(stamps), "utf-8")

    node = Counter("counter", start_parameter_services=False)
    node.create_subscription(Image, topic, lambda image: stamps.append(stamp_ns(image.header.stamp)), CAMERA)
    return [node]


if __name__ == "__main__":
    leave_with(run(create))
