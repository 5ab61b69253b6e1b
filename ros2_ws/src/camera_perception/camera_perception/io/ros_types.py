"""ROS message types without ROS: serialised and read back by rosbags.

Our own types come from the .msg files of camera_perception_msgs; `msg` beside this file is a link to them, which
packaging turns into copies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np

from camera_perception.core.errors import BagError

PERCEPTION_FRAME = "camera_perception_msgs/msg/PerceptionFrame"
IMAGE, COMPRESSED_IMAGE = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"


@lru_cache(maxsize=1)
def typestore() -> Any:
    """The common interfaces of ROS 2 and our own. BagError when rosbags is not installed."""
    try:
        from rosbags.typesys import Stores, get_types_from_msg, get_typestore
    except ImportError as error:
        raise BagError(f"recordings need the '{error.name}' package: pip install rosbags") from error
    store = get_typestore(Stores.ROS2_JAZZY)
    ours: dict[str, Any] = {}
    for name, text in message_files().items():
        ours.update(get_types_from_msg(text, f"camera_perception_msgs/msg/{name}"))
    store.register(ours)
    return store


@lru_cache(maxsize=8)
def recorded_types(kind: str, text: str) -> Any:
    """The types as a recording describes them, so that recordings outlive changes of our messages."""
    from rosbags.typesys import Stores, TypesysError, get_types_from_idl, get_types_from_msg, get_typestore

    is_idl = text.startswith("=" * 80 + "\nIDL: ")
    store = get_typestore(Stores.ROS2_JAZZY)
    try:
        types = get_types_from_idl(text) if is_idl else get_types_from_msg(text, kind)
        store.register({name: fields for name, fields in types.items() if name not in store.types})
    except TypesysError as error:
        raise BagError(f"the recording describes {kind} in a way that cannot be read ({error})") from error
    return store


def message_files() -> dict[str, str]:
    """Name of each of our messages: text of its .msg file."""
    folder = files("camera_perception.io").joinpath("msg")
    found = {path.name[:-4]: path.read_text("utf-8") for path in folder.iterdir() if path.name.endswith(".msg")}
    return dict(sorted(found.items()))


def message_from_fields(kind: str, values: Mapping[str, Any]) -> Any:
    """A rosbags message of type "package/msg/Name" from nested fields; what is missing is zero or empty.

    KeyError when a name is no field of the type.
    """
    definition = dict(typestore().fielddefs[kind][1])
    unknown = set(values) - set(definition)
    if unknown:
        raise KeyError(f"{kind} has no field {', '.join(sorted(unknown))}")
    return typestore().types[kind](**{name: _value(node, values.get(name)) for name, node in definition.items()})


def fields_from_message(message: Any, store: Any = None) -> dict[str, Any]:
    """The way back: nested dicts, lists, numbers and arrays."""
    definition = (store or typestore()).fielddefs[message.__msgtype__][1]
    return {name: _plain(getattr(message, name), store) for name, _ in definition}


def serialize(kind: str, values: Mapping[str, Any]) -> bytes:
    """Nested fields as the bytes that travel over the wire and lie in a bag (little-endian CDR)."""
    return bytes(typestore().serialize_cdr(message_from_fields(kind, values), kind))


def deserialize(kind: str, data: bytes, store: Any = None) -> Any:
    """Bytes as a rosbags message; BagError when they are not of that type. `store` as recorded_types gives it."""
    store = store or typestore()
    if kind not in store.types:
        raise BagError(f"messages of type {kind} cannot be read: the type is not known here")
    try:
        return store.deserialize_cdr(data, kind)
    except Exception as error:  # rosbags generates its readers; broken bytes fail in many ways
        raise BagError(f"a message of type {kind} is broken ({error!r}): try `camera-perception repair-bag`") from error


def definition(kind: str) -> str:
    """The text that describes a type and all it contains, as bags store it."""
    text, _ = typestore().generate_msgdef(kind, ros_version=2)
    return text


def _value(node: Any, value: Any) -> Any:
    kind, content = node
    if kind.name == "NAME":
        return message_from_fields(content, value or {})
    if kind.name == "BASE":
        return _base(content[0], value)
    element, length = content
    if element[0].name == "BASE" and element[1][0] != "string":
        return _numbers(element[1][0], length if kind.name == "ARRAY" else 0, value)
    return [_value(element, item) for item in value or ()]


def _base(name: str, value: Any) -> Any:
    if name == "string":
        return "" if value is None else str(value)
    if name == "bool":
        return bool(value)
    return np.dtype(name).type(0 if value is None else value).item()


def _numbers(name: str, length: int, value: Any) -> np.ndarray:
    array = np.zeros(length, name) if value is None else np.asarray(value, name).ravel()
    if length and len(array) != length:
        raise ValueError(f"expected {length} numbers, got {len(array)}")
    return array


def _plain(value: Any, store: Any) -> Any:
    if is_dataclass(value):
        return fields_from_message(value, store)
    return [_plain(item, store) for item in value] if isinstance(value, list) else value
