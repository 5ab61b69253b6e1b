"""Serialised messages: their classes, their header stamps, and definitions of installed types for recordings."""

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
    """Whether a message starts with std_msgs/Header, so that its stamp is at a fixed position in the bytes."""
    return next(iter(cls.get_fields_and_field_types().values()), "") == "std_msgs/Header"


def shifted(data: bytes, offset_ns: int) -> bytes:
    """Serialised message with its header stamp moved by offset_ns."""
    order = "<" if data[1] & 1 else ">"
    moved = struct.pack(order + "iI", *divmod(header_stamp_ns(data) + offset_ns, 1_000_000_000))
    return b"".join((data[:4], moved, data[12:]))


def header_stamp_ns(data: bytes) -> int:
    """Header stamp of a serialised message, nanoseconds."""
    seconds, nanoseconds = struct.unpack_from("<iI" if data[1] & 1 else ">iI", data, 4)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def register(store: Any, kind: str) -> None:
    """Register a type (pkg/msg/Name) and all it contains in a rosbags typestore; BagError when it is not installed."""
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
        raise BagError(f"cannot record {kind}: install the package with its message definition") from error


def _inner_types(definition: Any) -> set[str]:
    """Message types among the fields of a rosbags definition (constants, fields)."""
    names: set[str] = set()
    pending = [description for _, description in definition[1]]
    while pending:
        kind, detail = pending.pop()
        if kind.name == "NAME":
            names.add(detail)
        elif kind.name in ("ARRAY", "SEQUENCE"):
            pending.append(detail[0])
    return names
