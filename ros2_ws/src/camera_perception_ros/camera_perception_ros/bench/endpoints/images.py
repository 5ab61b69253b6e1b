"""Image messages to send, built before timing starts."""

from __future__ import annotations

import time
from array import array
from itertools import cycle
from pathlib import Path

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo, Image

from camera_perception.tools.bench import synthetic_inputs
from camera_perception.tools.replay.source import open_source
from camera_perception_ros.conversions.messages import message_from_image, time_from_ns

COUNT = 4  # different images, or the node would report a frozen camera


class SentImages:
    """Endless 1280x720 bgr8 images, from a recording or synthetic."""

    def __init__(self, source: Path | None = None) -> None:
        self.pixels = drive(source) if source else [synthetic_inputs.image(number=number) for number in range(COUNT)]
        self._messages = cycle([message(pixels) for pixels in self.pixels])

    def next(self) -> tuple[int, Image]:
        """The next image and its stamp in nanoseconds, which is the time of sending."""
        image, now = next(self._messages), time.time_ns()
        image.header.stamp = time_from_ns(now)
        return now, image


def message(pixels: np.ndarray) -> Image:
    image = message_from_image(pixels, "bgr8", Image().header)
    image.header.frame_id = "bench_optical_frame"
    assert isinstance(image.data, array)
    return image


def drive(source: Path) -> list[np.ndarray]:
    """Every tenth image of a recording, video or folder, resized to 1280x720."""
    images = []
    for number, arrival in enumerate(open_source(source).arrivals):
        if number % 10 == 0:
            images.append(cv2.resize(arrival.frame().image, synthetic_inputs.SIZE[::-1], interpolation=cv2.INTER_AREA))
        if len(images) == COUNT:
            break
    return images


def camera_info() -> CameraInfo:
    """Calibration of the synthetic camera."""
    height, width = synthetic_inputs.SIZE
    k = [synthetic_inputs.FOCAL, 0.0, width / 2, 0.0, synthetic_inputs.FOCAL, height / 2, 0.0, 0.0, 1.0]
    info = CameraInfo(width=width, height=height, distortion_model="plumb_bob", d=[0.0] * 5, k=k)
    info.header.frame_id, info.header.stamp = "bench_optical_frame", Time()
    return info
