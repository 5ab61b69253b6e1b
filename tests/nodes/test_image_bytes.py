"""Images are read from the bytes of their messages as rclpy reads them, without a copy of the pixels."""

import struct

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from camera_perception_ros.conversions import image_bytes
from camera_perception_ros.conversions.image_bytes import ImageBytes, image_from_bytes

FIELDS = Image.get_fields_and_field_types()


def image(frame_id: str = "front", encoding: str = "bgr8", size: int = 24, **fields) -> Image:
    header = Header(stamp=Time(sec=-3, nanosec=999_999_999), frame_id=frame_id)
    data = np.arange(size, dtype=np.uint8).tobytes()
    return Image(header=header, height=2, width=3, encoding=encoding, step=12, data=data, **fields)


def big_endian(message: Image) -> bytes:
    """The message as a big-endian machine sends it."""
    body = struct.pack(">iI", message.header.stamp.sec, message.header.stamp.nanosec)
    for text, numbers in ((message.header.frame_id, (message.height, message.width)), (message.encoding, ())):
        data = text.encode() + b"\0"
        body += struct.pack(">I", len(data)) + data
        body += bytes(-len(body) % 4) + struct.pack(f">{len(numbers)}I", *numbers) if numbers else b""
    body += bytes([message.is_bigendian])
    body += bytes(-len(body) % 4) + struct.pack(">II", message.step, len(message.data)) + bytes(message.data)
    return b"\0\0\0\0" + body


def fields(message) -> dict:
    return {name: bytes(message.data) if name == "data" else getattr(message, name) for name in FIELDS}


MESSAGES = [
    Image(), image(), image(is_bigendian=1), image(size=0), image(size=5),
    *(image("f" * count, "e" * (7 - count)) for count in range(8)), image("über", "16UC1"),
]  # fmt: skip


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("write", [serialize_message, big_endian])
def test_every_field_is_what_rclpy_reads(message, write):
    data = write(message)
    found = image_from_bytes(data)
    assert isinstance(found, ImageBytes)
    assert fields(found) == fields(deserialize_message(data, Image)) == fields(message)
    assert found.data.obj is data


@pytest.mark.parametrize("text", [b"ab\0cd", b"\xff\xfe\xfda!"])
def test_strings_with_zeros_or_no_utf8_are_read_as_rclpy_reads_them(text):
    data = serialize_message(image("12345")).replace(b"12345", text)
    assert fields(image_from_bytes(data)) == fields(deserialize_message(data, Image))


def test_another_representation_is_left_to_rclpy(monkeypatch):
    asked = []
    monkeypatch.setattr(image_bytes, "deserialize_message", lambda data, kind: asked.append(kind) or Image())
    assert image_from_bytes(b"\x00\x03" + serialize_message(image())[2:]) == Image()
    assert asked == [Image]


@pytest.mark.parametrize("length", [0, 3, 4, 11, 12, 17, 24, 33, 45, 60])
def test_a_message_that_ends_early_is_refused(length):
    data = serialize_message(image())
    with pytest.raises(Exception, match="."):  # of the middleware
        image_from_bytes(data[:length])
