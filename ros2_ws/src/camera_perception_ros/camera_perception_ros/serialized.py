"""Serialized messages: their classes, and the stamp at their beginning."""

from __future__ import annotations

import struct
from importlib import import_module
from typing import Any


def message_class(kind: str) -> Any | None:
    """The class of sensor_msgs/msg/Image; None when its package is not installed here."""
    package, _, name = kind.partition("/msg/")
    try:
        return getattr(import_module(f"{package}.msg"), name, None)
    except ModuleNotFoundError:
        return None


def starts_with_header(cls: Any) -> bool:
    """Whether a message begins with std_msgs/Header, so that its stamp is at a known place of the serialized bytes."""
    return next(iter(cls.get_fields_and_field_types().values()), "") == "std_msgs/Header"


def shifted(data: bytes, offset_ns: int) -> bytes:
    """Serialized bytes of a message that starts with a header, its stamp moved by offset_ns."""
    order = "<" if data[1] & 1 else ">"
    moved = struct.pack(order + "iI", *divmod(header_stamp_ns(data) + offset_ns, 1_000_000_000))
    return b"".join((data[:4], moved, data[12:]))


def header_stamp_ns(data: bytes) -> int:
    """The stamp of serialized bytes that start with a header."""
    seconds, nanoseconds = struct.unpack_from("<iI" if data[1] & 1 else ">iI", data, 4)
    return seconds * 1_000_000_000 + nanoseconds
