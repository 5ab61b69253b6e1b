"""One recorded image: its pixels for the network, and its bytes with regions covered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from camera_perception.core.errors import UnknownEncoding
from camera_perception.image.compressed import decode_compressed
from camera_perception.image.encodings import decode_image
from camera_perception.image.files import decode_file
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
class RecordedImage:
    """A message of type sensor_msgs Image or CompressedImage."""

    kind: str
    message: Any

    @property
    def stamp_ns(self) -> int:
        stamp = self.message.header.stamp
        return int(stamp.sec) * 10**9 + int(stamp.nanosec)

    def pixels(self) -> np.ndarray:
        """(H, W, 3) uint8 BGR. BadImage when it cannot be decoded."""
        message = self.message
        if self.kind == COMPRESSED_IMAGE:
            return decode_compressed(message.data, message.format)
        if message.encoding.lower() == "16uc1":
            raise UnknownEncoding("image encoding '16UC1' is depth or heat, in which no head or plate is recognised")
        return decode_image(*_layout(message), message.data)

    def covered(self, regions: Sequence[Region], settings: Settings) -> bytes:
        """The serialised message with its regions covered, in its encoding; everything else stays as it is."""
        message = self.message
        if self.kind == COMPRESSED_IMAGE:
            data = np.frombuffer(covered_file(bytes(message.data), regions, settings), np.uint8)
        else:
            data = np.array(message.data)
            cover(planes_of_message(*_layout(message), data), regions, settings.how)
        return serialize(self.kind, {**fields_from_message(message), "data": data})


def read(kind: str, data: bytes) -> RecordedImage:
    """Deserialise an image message; BagError when the bytes are not of that type."""
    return RecordedImage(kind, deserialize(kind, data))


def covered_file(
    raw: bytes, regions: Sequence[Region], settings: Settings, suffix: str = "", *, turn: bool = False
) -> bytes:
    """An image file with regions covered, of the same format, depth and alpha channel; EXIF data is dropped.

    suffix  ".jpg", ".png" ...; by default jpeg or png by the first bytes
    turn    apply the EXIF orientation, as viewers do; images in recordings are used as they are stored
    """
    flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH if turn and is_jpeg(raw) else cv2.IMREAD_UNCHANGED
    image = decode_file(raw, flags)
    cover(planes_of_pixels(image), regions, settings.how)
    suffix = suffix or (".jpg" if is_jpeg(raw) else ".png")
    options = [QUALITY[suffix], settings.quality] if suffix in QUALITY else []
    return cv2.imencode(suffix, image, options)[1].tobytes()


def is_jpeg(raw: bytes) -> bool:
    return raw.startswith(b"\xff\xd8")


def _layout(message: Any) -> tuple[str, int, int, int, bool]:
    return message.encoding, message.height, message.width, message.step, bool(message.is_bigendian)
