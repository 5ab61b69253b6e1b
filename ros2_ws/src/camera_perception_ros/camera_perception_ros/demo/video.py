"""One video of the demo: the overlays of all cameras, and beside them what the fusion knows, from above."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from camera_perception.draw import bird_eye, image_grid, side_by_side
from camera_perception.io.bag_reader import Bag
from camera_perception.io.ros_types import deserialize
from camera_perception_ros.conversions.messages import stamp_ns
from camera_perception_ros.demo.cameras import DemoCamera
from camera_perception_ros.fusion.outputs import surroundings_from_fused

FUSED = "/fusion/fused"
TILE = 540, 960  # height and width of each camera's picture
REACH, BEHIND = 52.0, 8.0  # metres from above: what cameras see well
OLD_NS = 3_000_000_000  # a picture without a successor for so long is shown dark


class Wall:
    """What is to be seen now: the latest picture of each camera, the latest scene from above."""

    def __init__(self, cameras: list[DemoCamera]) -> None:
        self._pictures: dict[str, np.ndarray | None] = {camera.output("overlay/compressed"): None for camera in cameras}
        self._taken_ns = dict.fromkeys(self._pictures, 0)
        self._fused: Any = None

    @property
    def topics(self) -> list[str]:
        return [*self._pictures, FUSED]

    @property
    def cameras(self) -> list[str]:
        """Topics of the pictures alone."""
        return [*self._pictures]

    @property
    def complete(self) -> bool:
        """Whether every camera has shown something."""
        return all(picture is not None for picture in self._pictures.values())

    def take(self, topic: str, message: Any) -> None:
        if topic == FUSED:
            self._fused = message
        else:
            self._pictures[topic] = cv2.imdecode(message.data, cv2.IMREAD_COLOR)
            self._taken_ns[topic] = stamp_ns(message.header.stamp)

    def picture(self, now_ns: int) -> np.ndarray:
        """Up to two cameras over each other, more in two columns."""
        shown = [
            cv2.convertScaleAbs(picture, alpha=0.3) if now_ns - self._taken_ns[topic] > OLD_NS else picture
            for topic, picture in self._pictures.items()
            if picture is not None
        ]
        tiles = image_grid(shown, 1 if len(shown) < 3 else 2, TILE)
        return _even(side_by_side(tiles, self._from_above(len(tiles), round(len(tiles) * 0.62))))

    def _from_above(self, height: int, width: int) -> np.ndarray:
        """Dark until the fusion has spoken: all pictures of a film have one size."""
        if self._fused is None:
            return np.zeros((height, width, 3), np.uint8)
        return bird_eye(surroundings_from_fused(self._fused), (height, width), REACH, BEHIND)


def write_video(bag: Path, cameras: list[DemoCamera], path: Path, rate: float = 12.0) -> int:
    """Returns the number of frames written; 0 when the recording holds no overlays."""
    writer, written = None, 0
    for picture in _frames(bag, Wall(cameras), rate):
        if writer is None:
            writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate, picture.shape[1::-1])
        writer.write(picture)
        written += 1
    if writer is not None:
        writer.release()
    return written


def _frames(bag: Path, wall: Wall, rate: float) -> Iterator[np.ndarray]:
    """A picture for each frame of the video, from when all cameras have shown something until the last one ends."""
    first_ns, now_ns, count = 0, 0, 0
    with Bag(bag) as recording:
        end_ns = max((raw.stamp_ns for raw in recording.messages(wall.cameras)), default=0)
        for raw in takewhile(lambda raw: raw.stamp_ns <= end_ns, recording.messages(wall.topics)):
            message = deserialize(raw.kind, raw.data)
            if wall.complete:
                now_ns = stamp_ns(message.header.stamp)
                first_ns = first_ns or now_ns
                while count < (now_ns - first_ns) * rate / 1e9:
                    yield wall.picture(now_ns)
                    count += 1
            wall.take(raw.topic, message)
    if wall.complete:
        yield wall.picture(now_ns)


def _even(picture: np.ndarray) -> np.ndarray:
    """Without the last row or column that video encoders do not take."""
    return picture[: len(picture) // 2 * 2, : picture.shape[1] // 2 * 2]
