"""One recorded image: its pixels for the network, and its bytes again with the regions covered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from camera_perception.core.errors import BadImage
from camera_perception.image.encodings import decode_compressed, decode_image
from camera_perception.io.cdr import serialize
from camera_perception.io.ros_types import COMPRESSED_IMAGE, deserialize, fields_from_message
from camera_perception.tools.privacy.cover import cover, planes_of_message, planes_of_pixels
from camera_perception.tools.privacy.regions import Region, Settings

QUALITY = {
    ".jpg": cv2.IMWRITE_JPEG_QUALITY,
    ".jpeg": cv2.IMWRITE_JPEG_QUALITY,
    ".webp": cv2.IMWRITE_WEBP_QUALITY,
}


@dataclass(frozen=True, slots=True)
class Recorded:
    """A message of type sensor_msgs Image or CompressedImage."""

    kind: str
    message: Any

    @property
    def stamp_ns(self) -> int:
        stamp = self.message.header.stamp
        return stamp.sec * 10**9 + stamp.nanosec

    def pixels(self) -> np.ndarray:
        """(H, W, 3) uint8 BGR. BadImage when it cannot be decoded."""
        message = self.message
        if self.kind == COMPRESSED_IMAGE:
            return decode_compressed(message.data, message.format)
        return decode_image(*_layout(message), message.data)

    def covered(self, regions: Sequence[Region], settings: Settings) -> bytes:
        """The message with its regions covered, in the encoding it had. Nothing else of it changes."""
        if self.kind == COMPRESSED_IMAGE:
            self.message.data = np.frombuffer(covered_file(bytes(self.message.data), regions, settings), np.uint8)
        else:
            self.message.data = np.array(self.message.data)
            cover(planes_of_message(*_layout(self.message), self.message.data), regions, settings.how)
        return serialize(self.kind, fields_from_message(self.message))


def read(kind: str, data: bytes) -> Recorded:
    """BagError when the bytes are no such message."""
    return Recorded(kind, deserialize(kind, data))


def covered_file(
    raw: bytes, regions: Sequence[Region], settings: Settings, suffix: str = "", *, turn: bool = False
) -> bytes:
    """An image file again, of the same kind and depth and with its alpha channel; EXIF data does not survive.

    suffix  ".jpg", ".png" ...; jpeg or png by the first bytes when not given
    turn    as EXIF says, as viewers do; images in recordings are used as they are stored
    """
    flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH if turn and is_jpeg(raw) else cv2.IMREAD_UNCHANGED
    image = cv2.imdecode(np.frombuffer(raw, np.uint8), flags)
    if image is None:
        raise BadImage(f"an image of {len(raw)} bytes cannot be decoded: check the camera link")
    cover(planes_of_pixels(image), regions, settings.how)
    suffix = suffix or (".jpg" if is_jpeg(raw) else ".png")
    options = [QUALITY[suffix], settings.quality] if suffix in QUALITY else []
    return cv2.imencode(suffix, image, options)[1].tobytes()


def is_jpeg(raw: bytes) -> bool:
    return raw.startswith(b"\xff\xd8")


def _layout(message: Any) -> tuple[str, int, int, int, bool]:
    return message.encoding, message.height, message.width, message.step, bool(message.is_bigendian)
