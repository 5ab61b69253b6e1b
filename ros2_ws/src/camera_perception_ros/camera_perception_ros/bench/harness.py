"""The measuring process, which sends images and records answers, and the measured processes: camera nodes and echo."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rclpy.publisher import Publisher
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from camera_perception.core.errors import PerceptionError
from camera_perception.tools.bench import synthetic_inputs
from camera_perception_msgs.msg import PerceptionFrame
from camera_perception_ros.bench import names
from camera_perception_ros.bench.endpoints.images import camera_info
from camera_perception_ros.bench.endpoints.observer import Observer
from camera_perception_ros.conversions.serialized import header_stamp_ns
from camera_perception_ros.demo.cameras import write_params
from camera_perception_ros.demo.processes import Processes


@dataclass(frozen=True)
class Answer:
    """A received message, kept serialized: deserialising is the listener's cost, not the sender's."""

    received_ns: int
    data: bytes

    def read(self) -> PerceptionFrame:
        return deserialize_message(self.data, PerceptionFrame)


class Harness(Observer):
    """Sends images and records answers.

    answers  camera -> stamp -> Answer
    echoes   stamp -> Answer
    """

    def __init__(self) -> None:
        super().__init__("bench")
        self.answers: dict[str, dict[int, Answer]] = {}
        self.echoes: dict[int, Answer] = {}
        self._record(Header, names.ECHO, self.echoes)
        self.to_echo = self.node.create_publisher(Image, names.ECHO_IMAGES, names.CAMERA)

    def listen(self, camera: str) -> None:
        """Record every answer of a camera."""
        self._record(PerceptionFrame, names.perception(camera), self.answers.setdefault(camera, {}))

    def _record(self, message_type: type, topic: str, answers: dict[int, Answer]) -> None:
        def on_answer(data: bytes) -> None:
            received = time.time_ns()
            answers[header_stamp_ns(data)] = Answer(received, data)

        self.node.create_subscription(message_type, topic, on_answer, names.LISTENER, raw=True)

    def to_camera(self, camera: str) -> Publisher:
        """A publisher of images for a camera's node; its calibration is sent first."""
        images = self.node.create_publisher(Image, names.images(camera), names.CAMERA)
        infos = self.node.create_publisher(CameraInfo, names.info(camera), names.CAMERA)
        self.wait(lambda: images.get_subscription_count() and infos.get_subscription_count(), 60.0)
        self.spin(0.5)
        infos.publish(camera_info())
        self.spin(0.2)
        return images


class BenchError(PerceptionError):
    """A measurement failed; the message says why."""


@dataclass(frozen=True)
class Nodes:
    """Starts nodes and waits until they are connected."""

    processes: Processes
    harness: Harness
    out: Path
    model: Path
    threads: int

    def start_echo(self) -> None:
        self.processes.start_module("echo", "camera_perception_ros.bench.endpoints.echo")
        self._until("echo", lambda: self.harness.to_echo.get_subscription_count())

    def start_camera(self, camera: str, engine: str) -> None:
        """Start a camera node as a launch file does; await_camera waits for it."""
        values = {
            "model": str(self.model), "engine": engine, "engine_threads": self.threads, "camera_name": camera,
            "image_topic": names.images(camera), "transport": "raw", "camera_pose": list(synthetic_inputs.POSE),
            "silence": 600.0, "autostart": True,
        }  # fmt: skip
        file = write_params(self.out / "params" / f"{camera}.yaml", values)
        namespace = f"__ns:={names.namespace(camera)}"
        self.processes.start(self.name(camera), "camera_node", "-r", namespace, "--params-file", file)

    def await_camera(self, camera: str) -> None:
        """Wait until its node subscribes to images and we to its answers."""
        if camera not in self.harness.answers:
            self.harness.listen(camera)
        node = self.harness.node
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

    def _until(self, name: str, condition: Callable[[], object], seconds: float = 90.0) -> None:
        deadline = time.monotonic() + seconds
        while not self.harness.wait(condition, 0.5):
            if name in self.processes.ended() or time.monotonic() > deadline:
                raise BenchError(f"{name} is not running: {self.processes.last_error(name)}")
