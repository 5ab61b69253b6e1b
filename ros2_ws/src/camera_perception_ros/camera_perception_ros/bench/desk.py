"""Where the measuring process sits: it sends images, hears answers, and notes when."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from camera_perception_msgs.msg import PerceptionFrame
from camera_perception_ros.bench import names
from camera_perception_ros.bench.pictures import camera_info
from camera_perception_ros.serialized import header_stamp_ns


@dataclass(frozen=True)
class Answer:
    """A message as it came: still serialized, because what a listener makes of it is not the sender's cost."""

    received_ns: int
    data: bytes

    def read(self) -> PerceptionFrame:
        return deserialize_message(self.data, PerceptionFrame)


class Desk:
    """One node, one thread. answers: camera, stamp, Answer; echoes: stamp, Answer."""

    def __init__(self) -> None:
        rclpy.init()
        self.node = Node("bench", start_parameter_services=False, enable_rosout=False)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self.answers: dict[str, dict[int, Answer]] = {}
        self.echoes: dict[int, Answer] = {}
        self._keep(Header, names.ECHO, self.echoes)
        self.to_echo = self.node.create_publisher(Image, names.ECHO_IMAGES, names.CAMERA)

    def listen(self, camera: str) -> None:
        """Keep every answer of a camera from now on."""
        self._keep(PerceptionFrame, names.perception(camera), self.answers.setdefault(camera, {}))

    def _keep(self, kind: type, topic: str, heard: dict[int, Answer]) -> None:
        def on_answer(data: bytes) -> None:
            received = time.time_ns()
            heard[header_stamp_ns(data)] = Answer(received, data)

        self.node.create_subscription(kind, topic, on_answer, names.LISTENER, raw=True)

    def to_camera(self, camera: str) -> Publisher:
        """A publisher of images for a camera's node, which first gets its calibration."""
        images = self.node.create_publisher(Image, names.images(camera), names.CAMERA)
        infos = self.node.create_publisher(CameraInfo, names.info(camera), names.CAMERA)
        self.wait(lambda: images.get_subscription_count() and infos.get_subscription_count(), 60.0)
        self.spin(0.5)
        infos.publish(camera_info())
        self.spin(0.2)
        return images

    def wait(self, condition: Callable[[], object], seconds: float) -> bool:
        """Hear until the condition holds; False when it does not within so many seconds."""
        give_up = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > give_up:
                return False
            self._executor.spin_once(timeout_sec=0.02)
        return True

    def spin(self, seconds: float) -> None:
        self.wait(lambda: False, seconds)

    def close(self) -> None:
        self._executor.shutdown(timeout_sec=0.5)
        self.node.destroy_node()
        rclpy.try_shutdown()
