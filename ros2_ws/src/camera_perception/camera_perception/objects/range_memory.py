"""Recent messages of range sensors, matched to images by stamp."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np

from camera_perception.core.errors import BadRange, PerceptionError
from camera_perception.core.types import Frame
from camera_perception.geometry.camera import Camera
from camera_perception.image.turn import Turn
from camera_perception.io.range_messages import check_registered, depth_from_message, points_from_message
from camera_perception.objects.range_fusion import Cloud, Depth, Ranges

T = TypeVar("T")
V = TypeVar("V")

MAX_DEPTH_AGE_NS, MAX_LIDAR_AGE_NS = 60_000_000, 100_000_000  # between the stamps of a message and an image
BUFFERED = 8  # messages per sensor


class StampBuffer(Generic[T]):
    """The last few items by stamp. One thread adds, another one may search."""

    def __init__(self, max_age_ns: int) -> None:
        self._max_age_ns = max_age_ns
        self._items: tuple[tuple[int, T], ...] = ()

    def add(self, stamp_ns: int, item: T) -> None:
        self._items = (*self._items, (stamp_ns, item))[-BUFFERED:]

    def nearest(self, stamp_ns: int) -> tuple[T, float] | None:
        """The item nearest in time, the later one of two, and its distance in seconds; None when it is too far."""
        ages = [abs(own - stamp_ns) for own, _ in reversed(self._items)]
        least = min(ages, default=self._max_age_ns + 1)
        if least > self._max_age_ns:
            return None
        return self._items[-1 - ages.index(least)][1], least / 1e9


class RangeMemory:
    """Messages of a depth camera and a lidar, decoded only when an image needs them.

    depth_topic, lidar_topic  named in `problems`; "" for a sensor that does not exist
    turn                      of the images, which depth images need, too
    base_from                 (4, 4) pose in base_link of the frame with this name, fixed to the car; None if unknown
    problems                  sensor ("depth", "lidar"): why it did not contribute to the last image
    """

    def __init__(
        self,
        depth_topic: str,
        lidar_topic: str,
        base_from: Callable[[str], np.ndarray | None],
        turn: Turn | None = None,
    ) -> None:
        self._turn = turn or Turn()
        self._topics = {"depth": depth_topic, "lidar": lidar_topic}
        self._base_from = base_from
        self._depths, self._clouds = StampBuffer[Any](MAX_DEPTH_AGE_NS), StampBuffer[Any](MAX_LIDAR_AGE_NS)
        self.problems = {name: f"nothing on {topic} yet" for name, topic in self._topics.items() if topic}

    def add_depth(self, stamp_ns: int, message: Any) -> None:
        """Add a sensor_msgs/Image."""
        self._depths.add(stamp_ns, message)

    def add_cloud(self, stamp_ns: int, message: Any) -> None:
        """Add a sensor_msgs/PointCloud2."""
        self._clouds.add(stamp_ns, message)

    def near(self, frame: Frame, camera: Camera) -> Ranges:
        """The measurements near a frame of a camera whose pose is known. A broken message becomes a problem."""
        depth = self._read_or_note("depth", self._depth, frame, camera)
        return Ranges(depth, self._read_or_note("lidar", self._cloud, frame, camera))

    def _read_or_note(self, name: str, read: Callable[[Frame, Camera], V], frame: Frame, camera: Camera) -> V | None:
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
        message, age = self._nearest(self._depths, "depth", frame)
        check_registered(message, frame, camera, sideways=self._turn.degrees in (90, 270))
        return Depth(self._turn(depth_from_message(message)), age)

    def _cloud(self, frame: Frame, camera: Camera) -> Cloud:
        message, age = self._nearest(self._clouds, "lidar", frame)
        name = message.header.frame_id
        base_from_lidar = self._base_from(name)
        if base_from_lidar is None:
            raise BadRange(f"TF does not know where the lidar's frame '{name}' is on the car: publish its transform")
        camera_from_lidar = (np.linalg.inv(camera.pose) @ base_from_lidar).astype(np.float32)
        columns = camera_from_lidar[:3, :3] @ points_from_message(message).T + camera_from_lidar[:3, 3:]
        return Cloud(columns.T, age)

    def _nearest(self, buffer: StampBuffer[Any], name: str, frame: Frame) -> tuple[Any, float]:
        found = buffer.nearest(frame.stamp_ns)
        if found is None:
            limit = (MAX_DEPTH_AGE_NS if name == "depth" else MAX_LIDAR_AGE_NS) // 1_000_000
            raise BadRange(
                f"nothing on {self._topics[name]} within {limit} ms of the image: check its rate, clock and publisher"
            )
        return found
