"""The processes that are measured: camera nodes and the echo."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from camera_perception.bench import given
from camera_perception.errors import PerceptionError
from camera_perception_ros.bench import names
from camera_perception_ros.bench.desk import Desk
from camera_perception_ros.demo.cameras import write_params
from camera_perception_ros.demo.processes import Processes


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
        self.processes.start_module("echo", "camera_perception_ros.bench.echo")
        self._until("echo", lambda: self.desk.to_echo.get_subscription_count())

    def start_camera(self, camera: str, engine: str) -> None:
        """A camera node as a launch file starts it; await_camera waits for it."""
        values = {
            "model": str(self.model), "engine": engine, "engine_threads": self.threads, "camera_name": camera,
            "image_topic": names.images(camera), "transport": "raw", "camera_pose": list(given.POSE),
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
