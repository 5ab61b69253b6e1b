"""Demo video: overlays of all cameras beside the fused scene in bird's-eye view."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from camera_perception.core.model_spec import ModelSpec
from camera_perception.draw import bird_eye, image_grid, legend_entries, legend_strip, side_by_side
from camera_perception.image.files import decode_file
from camera_perception.io.bag_reader import Bag
from camera_perception.io.ros_types import deserialize
from camera_perception.io.video_file import VideoFile
from camera_perception_ros.conversions.messages import stamp_ns
from camera_perception_ros.demo.cameras import DemoCamera
from camera_perception_ros.fusion.outputs import surroundings_from_fused

FUSED = "/fusion/fused"
TILE, SMALL_TILE = (540, 960), (360, 640)  # height and width of each camera image; the second for more than two
LEGEND_TEXT = 12  # height of capitals, pixels
AHEAD, BEHIND = 52.0, 8.0  # metres shown in the bird's-eye view
STALE_NS = 3_000_000_000  # an image older than this is darkened
OLD_NS = 250_000_000  # a fused scene older than this has its age beside it


class Canvas:
    """The latest image of each camera and the latest fused scene, composed into one video frame."""

    def __init__(self, cameras: list[DemoCamera], spec: ModelSpec | None = None) -> None:
        self._images: dict[str, np.ndarray | None] = {camera.output("overlay/compressed"): None for camera in cameras}
        self._taken_ns = dict.fromkeys(self._images, 0)
        self._legend = legend_entries(spec.classes, spec.head("drivable")) if spec else legend_entries(())
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
            # A fusion that has nothing in time knows nothing; what it knew last is still the best there is.
            if self._fused is None or not all(camera.stale for camera in message.cameras):
                self._fused = message
        else:
            self._images[topic] = decode_file(message.data)
            self._taken_ns[topic] = stamp_ns(message.header.stamp)

    def compose(self, now_ns: int) -> np.ndarray:
        """Up to two cameras one above the other, more in two columns."""
        images = [
            cv2.convertScaleAbs(image, alpha=0.3) if now_ns - self._taken_ns[topic] > STALE_NS else image
            for topic, image in self._images.items()
            if image is not None
        ]
        few = len(images) < 3
        tiles = image_grid(images, 1 if few else 2, TILE if few else SMALL_TILE)
        picture = side_by_side(tiles, self._birds_eye(now_ns, len(tiles), round(len(tiles) * 0.62)))
        return np.vstack((picture, legend_strip(picture.shape[1], self._legend, LEGEND_TEXT)))

    def _birds_eye(self, now_ns: int, height: int, width: int) -> np.ndarray:
        """Black until the first fused message, as all frames of a video have one size."""
        if self._fused is None:
            return np.zeros((height, width, 3), np.uint8)
        scene = surroundings_from_fused(self._fused)
        return bird_eye(scene, (height, width), AHEAD, BEHIND, self._caption(now_ns))

    def _caption(self, now_ns: int) -> str:
        age_ns = now_ns - stamp_ns(self._fused.header.stamp)
        if not self._fused.cameras or all(camera.stale for camera in self._fused.cameras):
            return "fusion: no camera has answered in time yet"
        cameras = "1 camera" if len(self._fused.cameras) == 1 else f"{len(self._fused.cameras)} cameras"
        return f"fused from {cameras}" + (f", {age_ns / 1e9:.1f} s old" if age_ns > OLD_NS else "")


def write_video(bag: Path, canvas: Canvas, path: Path, rate: float = 12.0) -> int:
    """Write the video and return its number of frames; 0 when the recording holds no overlays."""
    written = 0
    with VideoFile(path, rate) as film:
        for frame in tqdm(_frames(bag, canvas, rate), unit="frame", desc="writing the film", disable=None):
            film.write(frame)
            written += 1
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
