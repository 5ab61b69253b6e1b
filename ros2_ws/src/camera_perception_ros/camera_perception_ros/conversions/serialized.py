"""Serialized messages: their classes, and the stamp at their beginning.

Message definitions for recordings: those that rosbags does not know come from the installed packages.
"""

from __future__ import annotations

import struct
from importlib import import_module
from pathlib import Path
from typing import Any

from camera_perception.core.errors import BagError


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


def register(store: Any, kind: str) -> None:
    """Make kind (pkg/msg/Name) and all it contains known to a rosbags typestore; BagError when not installed."""
    from rosbags.typesys import get_types_from_msg

    if kind in store.fielddefs:
        return
    types = get_types_from_msg(_definition(kind), kind)
    for inner in _inner_types(types[kind]):
        register(store, inner)
    store.register(types)


def _definition(kind: str) -> str:
    from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

    package, _, name = kind.split("/")
    try:
        return (Path(get_package_share_directory(package)) / "msg" / f"{name}.msg").read_text("utf-8")
    except (PackageNotFoundError, OSError) as error:
        raise BagError(f"cannot record {kind}: the definition of this message is not installed") from error


def _inner_types(definition: Any) -> set[str]:
    """Names of the message types among the fields of a definition (constants, fields)."""
    found: set[str] = set()
    pending = [description for _, description in definition[1]]
    while pending:
        kind, detail = pending.pop()
        if kind.name == "NAME":
            found.add(detail)
        elif kind.name in ("ARRAY", "SEQUENCE"):
            pending.append(detail[0])
    return found
