"""The overlays of all cameras side by side as one video, each image as long as it was the latest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from camera_perception.bag import Bag
from camera_perception.bag_types import deserialize
from camera_perception_ros.demo.cameras import DemoCamera

HEIGHT = 540


def write_video(bag: Path, cameras: list[DemoCamera], path: Path, rate: float = 25.0) -> int:
    """Returns the number of frames written; 0 when the recording holds no overlays."""
    topics = {camera.output("overlay/compressed"): index for index, camera in enumerate(cameras)}
    latest: list[np.ndarray | None] = [None] * len(cameras)
    writer, written, first_ns = None, 0, 0
    with Bag(bag) as recording:
        for raw in recording.messages(topics):
            message = deserialize(raw.kind, raw.data)
            stamp_ns = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
            first_ns = first_ns or stamp_ns
            while writer is not None and written < (stamp_ns - first_ns) * rate / 1e9:
                writer.write(_beside(latest))
                written += 1
            latest[topics[raw.topic]] = _scaled(cv2.imdecode(message.data, cv2.IMREAD_COLOR))
            if writer is None and all(image is not None for image in latest):
                size = _beside(latest).shape[1::-1]
                writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate, size)
    if writer is not None:
        writer.write(_beside(latest))
        writer.release()
        written += 1
    return written


def _scaled(image: Any) -> np.ndarray:
    width = round(image.shape[1] * HEIGHT / image.shape[0] / 2) * 2
    return cv2.resize(image, (width, HEIGHT), interpolation=cv2.INTER_AREA)


def _beside(images: list[np.ndarray | None]) -> np.ndarray:
    return np.hstack([image for image in images if image is not None])
