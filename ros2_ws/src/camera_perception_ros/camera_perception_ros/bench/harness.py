"""Where the measuring process sits: it sends images, hears answers, and notes when.

The processes that are measured: camera nodes and the echo.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from camera_perception.core.errors import PerceptionError
from camera_perception.tools.bench import synthetic_inputs
from camera_perception_msgs.msg import PerceptionFrame
from camera_perception_ros.bench import names
from camera_perception_ros.bench.endpoints.images import camera_info
from camera_perception_ros.conversions.serialized import header_stamp_ns
from camera_perception_ros.demo.cameras import write_params
from camera_perception_ros.demo.processes import Processes


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


class BenchError(PerceptionError):
    """A measurement did not come about, and says why."""


@dataclass(frozen=True)
class Nodes:
    """Starts nodes and waits until they listen."""

    processes: Processes
    desk: Desk
    out: Path
    model: Path
    threads: int

    def start_echo(self) -> None:
        self.processes.start_module("echo", "camera_perception_ros.bench.endpoints.echo")
        self._until("echo", lambda: self.desk.to_echo.get_subscription_count())

    def start_camera(self, camera: str, engine: str) -> None:
        """A camera node as a launch file starts it; await_camera waits for it."""
        values = {
            "model": str(self.model), "engine": engine, "engine_threads": self.threads, "camera_name": camera,
            "image_topic": names.images(camera), "transport": "raw", "camera_pose": list(synthetic_inputs.POSE),
            "silence": 600.0, "autostart": True,
        }  # fmt: skip
        file = write_params(self.out / "params" / f"{camera}.yaml", values)
        namespace = f"__ns:={names.namespace(camera)}"
        self.processes.start(self.name(camera), "camera_node", "-r", namespace, "--params-file", file)

    def await_camera(self, camera: str) -> None:
        """Until its node listens to images and we to it."""
        if camera not in self.desk.answers:
            self.desk.listen(camera)
        node = self.desk.node
        self._until(
            self.name(camera),
            lambda: node.count_subscribers(names.images(camera)) and node.count_publishers(names.perception(camera)),
        )

    def pid(self, camera: str) -> int:
        return self.processes.pid(self.name(camera))

    def stop(self, *cameras: str) -> None:
        self.processes.stop(*(self.name(camera) for camera in cameras))

    @staticmethod
    def name(camera: str) -> str:
        return f"{camera}/{names.NODE}"

    def _until(self, name: str, condition, seconds: float = 90.0) -> None:
        give_up = time.monotonic() + seconds
        while not self.desk.wait(condition, 0.5):
            if name in self.processes.ended() or time.monotonic() > give_up:
                raise BenchError(f"{name} does not run: {self.processes.last_words(name)}")
