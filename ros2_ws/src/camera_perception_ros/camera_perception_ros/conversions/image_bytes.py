"""Serialised Image messages, read in place: rclpy's own message copies the pixels twice more.

The layout is that of CDR (OMG DDS-XTypes 7.4.1), the same in both of its versions: numbers are aligned to multiples of
their size after the four bytes of the encapsulation header, strings and sequences start with their length.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header

BYTE_ORDERS = {b"\x00\x00": ">", b"\x00\x01": "<"}  # by the representation that the first bytes name
BODY = 4  # bytes before it: representation and options


@dataclass(frozen=True, slots=True)
class ImageBytes:
    """The fields of a sensor_msgs/Image; data is a view into the bytes of the message."""

    header: Header
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: memoryview


def image_from_bytes(message: bytes) -> ImageBytes | Image:
    """A serialised Image; by rclpy, which raises if the message is broken, where the layout is not the expected one."""
    try:
        return _in_place(message)
    except (LookupError, struct.error, ValueError):
        return deserialize_message(message, Image)


def _in_place(message: bytes) -> ImageBytes:
    order = BYTE_ORDERS[message[:2]]
    seconds, nanoseconds = struct.unpack_from(order + "iI", message, BODY)
    frame_id, at = _string(message, BODY + 8, order)
    height, width = struct.unpack_from(order + "II", message, at)
    encoding, at = _string(message, at + 8, order, aligned=1)
    at_step = _aligned(at + 1)
    step, count = struct.unpack_from(order + "II", message, at_step)
    data = memoryview(message)[at_step + 8 : at_step + 8 + count]
    if len(data) < count:
        raise ValueError("the message ends within its pixels")
    header = Header(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=frame_id)
    return ImageBytes(header, height, width, encoding, message[at], step, data)


def _string(message: bytes, at: int, order: str, aligned: int = 4) -> tuple[str, int]:
    """A string, up to its first zero byte as rclpy reads it, and where the next field of that alignment is."""
    (size,) = struct.unpack_from(order + "I", message, at)
    end = at + 4 + size
    if end > len(message):
        raise ValueError("the message ends within a string")
    text = message[at + 4 : end].partition(b"\0")[0].decode(errors="replace")
    return text, _aligned(end, aligned)


def _aligned(at: int, size: int = 4) -> int:
    return at + -(at - BODY) % size
