"""The images of one camera from its messages: decoded, brought to 8 bits, and turned."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from camera_perception.core.types import Status
from camera_perception.image.compressed import decode_compressed, lost_colours
from camera_perception.image.encodings import MAX_PIXELS, Fallback, decode_image
from camera_perception.image.sample_range import AUTO, SampleRange
from camera_perception.image.turn import Turn
from camera_perception.image.video_packets import VideoImage

_LOG = logging.getLogger(__name__)
NO_FLAGS = Status(0)


class ImageReader:
    """Reads one camera's messages in order; the range of 16-bit samples is remembered from image to image.

    turn     applied to every image
    range16  of 16-bit samples, see SampleRange
    fallback decodes unknown encodings
    warn     called once with what is wrong with all images of this camera
    flags    of the last image: RANGE_STRETCHED
    """

    def __init__(
        self,
        turn: Turn | None = None,
        range16: str = AUTO,
        fallback: Fallback | None = None,
        warn: Callable[[str], object] = _LOG.warning,
    ) -> None:
        self.turn = turn or Turn()
        self._range, self._fallback, self._warn = SampleRange(range16), fallback, warn
        self._warned = False

    @property
    def flags(self) -> Status:
        return Status.RANGE_STRETCHED if self._range.stretched else NO_FLAGS

    def read(self, message: Any, max_pixels: int = MAX_PIXELS) -> np.ndarray:
        """(H, W, 3) uint8 BGR of a sensor_msgs Image or CompressedImage, read by rclpy or rosbags, or of a VideoImage.

        raises BadImage
        """
        self._range.stretched = False
        if isinstance(message, VideoImage):
            return self.turn(message.read())
        return self.turn(
            self._compressed(message, max_pixels) if _has_file(message) else self._raw(message, max_pixels)
        )

    def _raw(self, message: Any, max_pixels: int) -> np.ndarray:
        return decode_image(
            message.encoding,
            message.height,
            message.width,
            message.step,
            bool(message.is_bigendian),
            memoryview(message.data),
            fallback=self._fallback,
            max_pixels=max_pixels,
            narrow=self._range,
        )

    def _compressed(self, message: Any, max_pixels: int) -> np.ndarray:
        if not self._warned and (problem := lost_colours(message.format)):
            self._warned = True
            self._warn(problem)
        return decode_compressed(memoryview(message.data), message.format, max_pixels, self._range)


def _has_file(message: Any) -> bool:
    """Whether it is a CompressedImage."""
    return hasattr(message, "format")
