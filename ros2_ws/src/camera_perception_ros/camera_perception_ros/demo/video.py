"""Demo video: overlays of all cameras beside the fused scene in bird's-eye view."""

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
TILE = 540, 960  # height and width of each camera image
AHEAD, BEHIND = 52.0, 8.0  # metres shown in the bird's-eye view
STALE_NS = 3_000_000_000  # an image older than this is darkened


class Canvas:
    """The latest image of each camera and the latest fused scene, composed into one video frame."""

    def __init__(self, cameras: list[DemoCamera]) -> None:
        self._images: dict[str, np.ndarray | None] = {camera.output("overlay/compressed"): None for camera in cameras}
        self._taken_ns = dict.fromkeys(self._images, 0)
        self._fused: Any = None

    @property
    def topics(self) -> list[str]:
        return [*self._images, FUSED]

    @property
    def cameras(self) -> list[str]:
        """Topics of the camera images."""
        return [*self._images]

    @property
    def complete(self) -> bool:
        """Whether every camera has sent an image."""
        return all(image is not None for image in self._images.values())

    def take(self, topic: str, message: Any) -> None:
        if topic == FUSED:
            self._fused = message
        else:
            self._images[topic] = cv2.imdecode(message.data, cv2.IMREAD_COLOR)
            self._taken_ns[topic] = stamp_ns(message.header.stamp)

    def compose(self, now_ns: int) -> np.ndarray:
        """Up to two cameras one above the other, more in two columns."""
        images = [
            cv2.convertScaleAbs(image, alpha=0.3) if now_ns - self._taken_ns[topic] > STALE_NS else image
            for topic, image in self._images.items()
            if image is not None
        ]
        tiles = image_grid(images, 1 if len(images) < 3 else 2, TILE)
        return _even(side_by_side(tiles, self._birds_eye(len(tiles), round(len(tiles) * 0.62))))

    def _birds_eye(self, height: int, width: int) -> np.ndarray:
        """Black until the first fused message, as all frames of a video have one size."""
        if self._fused is None:
            return np.zeros((height, width, 3), np.uint8)
        return bird_eye(surroundings_from_fused(self._fused), (height, width), AHEAD, BEHIND)


def write_video(bag: Path, cameras: list[DemoCamera], path: Path, rate: float = 12.0) -> int:
    """Write the video and return its number of frames; 0 when the recording holds no overlays."""
    writer, written = None, 0
    for frame in _frames(bag, Canvas(cameras), rate):
        if writer is None:
            writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate, frame.shape[1::-1])
        writer.write(frame)
        written += 1
    if writer is not None:
        writer.release()
    return written


def _frames(bag: Path, canvas: Canvas, rate: float) -> Iterator[np.ndarray]:
    """Frames of the video, from the first image of the last camera to start until the last image."""
    first_ns, now_ns, count = 0, 0, 0
    with Bag(bag) as recording:
        end_ns = max((raw.stamp_ns for raw in recording.messages(canvas.cameras)), default=0)
        for raw in takewhile(lambda raw: raw.stamp_ns <= end_ns, recording.messages(canvas.topics)):
            message = deserialize(raw.kind, raw.data)
            if canvas.complete:
                now_ns = stamp_ns(message.header.stamp)
                first_ns = first_ns or now_ns
                while count < (now_ns - first_ns) * rate / 1e9:
                    yield canvas.compose(now_ns)
                    count += 1
            canvas.take(raw.topic, message)
    if canvas.complete:
        yield canvas.compose(now_ns)


def _even(image: np.ndarray) -> np.ndarray:
    """Cropped to even height and width, as video encoders require."""
    return image[: len(image) // 2 * 2, : image.shape[1] // 2 * 2]
