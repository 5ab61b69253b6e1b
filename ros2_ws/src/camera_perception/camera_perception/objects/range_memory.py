"""What range sensors said last, and what of it belongs to an image: by stamps only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np

from camera_perception.core.errors import BadRange, PerceptionError
from camera_perception.core.types import Frame
from camera_perception.geometry.camera import Camera
from camera_perception.io.range_messages import check_registered, depth_from_message, points_from_message
from camera_perception.objects.range_fusion import Cloud, Depth, Ranges

T = TypeVar("T")
V = TypeVar("V")

DEPTH_NS, LIDAR_NS = 60_000_000, 100_000_000  # how far a stamp may be from the image's
KEEP = 8  # messages per sensor


class NearStamp(Generic[T]):
    """The last few items by stamp. One thread adds, another one may look."""

    def __init__(self, within_ns: int) -> None:
        self._within_ns = within_ns
        self._items: tuple[tuple[int, T], ...] = ()

    def add(self, stamp_ns: int, item: T) -> None:
        self._items = (*self._items, (stamp_ns, item))[-KEEP:]

    def at(self, stamp_ns: int) -> tuple[T, float] | None:
        """The item nearest in time, of two alike the one that came last, and its distance in seconds; None if far."""
        apart = [abs(own - stamp_ns) for own, _ in reversed(self._items)]
        least = min(apart, default=self._within_ns + 1)
        if least > self._within_ns:
            return None
        return self._items[-1 - apart.index(least)][1], least / 1e9


class RangeMemory:
    """Messages of a depth camera and a lidar, read when an image wants them.

    depth_topic, lidar_topic  named in `problems`; "" for a sensor that is not there
    base_from                 (4, 4) pose in base_link of the frame with this name, fixed to the car; None: not known
    problems                  sensor ("depth", "lidar"): why it did not help with the last image
    """

    def __init__(self, depth_topic: str, lidar_topic: str, base_from: Callable[[str], np.ndarray | None]) -> None:
        self._topics = {"depth": depth_topic, "lidar": lidar_topic}
        self._base_from = base_from
        self._depths, self._clouds = NearStamp[Any](DEPTH_NS), NearStamp[Any](LIDAR_NS)
        self.problems = {name: f"nothing on {topic} yet" for name, topic in self._topics.items() if topic}

    def add_depth(self, stamp_ns: int, message: Any) -> None:
        """A sensor_msgs/Image."""
        self._depths.add(stamp_ns, message)

    def add_cloud(self, stamp_ns: int, message: Any) -> None:
        """A sensor_msgs/PointCloud2."""
        self._clouds.add(stamp_ns, message)

    def near(self, frame: Frame, camera: Camera) -> Ranges:
        """What belongs to a frame of a camera whose pose is known. Broken messages give nothing, and a problem."""
        return Ranges(
            self._tried("depth", self._depth, frame, camera), self._tried("lidar", self._cloud, frame, camera)
        )

    def _tried(self, name: str, read: Callable[[Frame, Camera], V], frame: Frame, camera: Camera) -> V | None:
        if not self._topics[name]:
            return None
        found, problem = None, ""
        try:
            found = read(frame, camera)
        except PerceptionError as error:
            problem = str(error)
        others = {other: text for other, text in self.problems.items() if other != name}
        self.problems = others | ({name: problem} if problem else {})
        return found

    def _depth(self, frame: Frame, camera: Camera) -> Depth:
        message, age = self._taken(self._depths, "depth", frame)
        check_registered(message, frame, camera)
        return Depth(depth_from_message(message), age)

    def _cloud(self, frame: Frame, camera: Camera) -> Cloud:
        message, age = self._taken(self._clouds, "lidar", frame)
        name = message.header.frame_id
        base_from_lidar = self._base_from(name)
        if base_from_lidar is None:
            raise BadRange(f"TF does not know where the lidar's frame '{name}' is on the car: publish it")
        camera_from_lidar = (np.linalg.inv(camera.pose) @ base_from_lidar).astype(np.float32)
        columns = camera_from_lidar[:3, :3] @ points_from_message(message).T + camera_from_lidar[:3, 3:]
        return Cloud(columns.T, age)

    def _taken(self, memory: NearStamp[Any], name: str, frame: Frame) -> tuple[Any, float]:
        found = memory.at(frame.stamp_ns)
        if found is None:
            limit = (DEPTH_NS if name == "depth" else LIDAR_NS) // 1_000_000
            raise BadRange(
                f"nothing on {self._topics[name]} within {limit} ms of the image: check its rate, clock and publisher"
            )
        return found
