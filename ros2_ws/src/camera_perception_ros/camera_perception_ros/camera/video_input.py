"""Video packets of a camera, decoded in a thread of their own: unlike images, none of them may be skipped."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from std_msgs.msg import Header

from camera_perception.image.video_packets import VideoDecoder, VideoImage

VIDEO_DEPTH = 30  # of the subscription
MOST_WAITING = 60  # packets; more are dropped until the next key frame, or images would be seconds late


class VideoInput:
    """Decodes packets in the order of arrival and hands each image on.

    on_image  called in the decoding thread with each VideoImage, also those that cannot be decoded
    """

    def __init__(self, on_image: Callable[[VideoImage], None], log: Any, max_pixels: int) -> None:
        self._on_image, self._log, self._max_pixels = on_image, log, max_pixels
        self._waiting: deque[Any] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="video decoder", daemon=True)
        self._thread.start()

    def put(self, message: Any) -> None:
        """Take a packet; never waits."""
        with self._changed:
            if len(self._waiting) >= MOST_WAITING:
                self._waiting.clear()
                self._log.warning(
                    f"decoding video is slower than the camera: {MOST_WAITING} packets dropped, images are missing "
                    "until the next key frame; lower the camera's rate or resolution",
                    throttle_duration_sec=5.0,
                )
            self._waiting.append(message)
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout=1.0)

    def _take(self) -> Any:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return None if self._closed else self._waiting.popleft()

    def _run(self) -> None:
        decoder = VideoDecoder(self._max_pixels)
        while (message := self._take()) is not None:
            for image in decoder.decode(message, header_of(message)):
                self._on_image(image)


def header_of(message: Any) -> Header:
    """The header of a packet; foxglove's have its parts."""
    if hasattr(message, "header"):
        return message.header
    return Header(stamp=message.timestamp, frame_id=message.frame_id)
