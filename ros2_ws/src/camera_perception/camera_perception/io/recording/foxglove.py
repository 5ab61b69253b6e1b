"""Foxglove's own message types, in protobuf or JSON, as those of ROS 2: https://docs.foxglove.dev/docs/sdk/schemas."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from camera_perception.io.cdr import serialize
from camera_perception.io.recording.translation import Translation
from camera_perception.io.ros_types import CAMERA_INFO, COMPRESSED_IMAGE, COMPRESSED_VIDEO, IMAGE

Fields = dict[str, Any]
Parse = Callable[[bytes], Any]  # to a protobuf message or a dict
PREFIX = "foxglove."


def foxglove_translation(name: str, encoding: str, schema: bytes) -> Translation:
    """Messages of a type such as "foxglove.CompressedImage" as ROS 2 messages.

    schema  a FileDescriptorSet for protobuf
    """
    known = TYPES.get(name)
    if known is None:
        return Translation(name, problem=f"is {name[:80]} in {encoding}, of which no ROS 2 type is known here")
    kind, fields = known
    try:
        parse = _protobuf(name, schema) if encoding == "protobuf" else json.loads
    except ImportError as error:
        return Translation(kind, problem=f"is in protobuf: pip install {error.name or 'protobuf'}")
    except Exception as error:  # of protobuf, which does not know the schema
        return Translation(kind, problem=f"has a schema that cannot be read ({str(error)[:80]})")

    def convert(data: bytes) -> bytes | None:
        try:
            return serialize(kind, fields(parse(data)))
        except Exception:  # of protobuf or JSON: the message is broken
            return None

    return Translation(kind, convert=convert)


def _protobuf(name: str, schema: bytes) -> Parse:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    files = {file.name: file for file in descriptor_pb2.FileDescriptorSet.FromString(schema).file}
    pool, added = descriptor_pool.DescriptorPool(), set[str]()

    def add(file: str) -> None:
        if file not in added and file in files:
            added.add(file)
            for dependency in files[file].dependency:
                add(dependency)
            pool.Add(files[file])

    for file in files:
        add(file)
    parse: Parse = message_factory.GetMessageClass(pool.FindMessageTypeByName(name)).FromString
    return parse


def _get(message: Any, *names: str, default: Any = None) -> Any:
    """A field by any of its names; protobuf messages have every field."""
    for name in names:
        found = message.get(name) if isinstance(message, dict) else getattr(message, name, None)
        if found is not None:
            return found
    return default


def _header(message: Any) -> Fields:
    return {"stamp": _stamp(message), "frame_id": _get(message, "frame_id", "parent_frame_id", default="")}


def _stamp(message: Any) -> Fields:
    """In JSON a timestamp is an object, or a text such as 2024-01-01T00:00:00.5Z, as protobuf writes it."""
    stamp = _get(message, "timestamp", default={})
    if isinstance(stamp, str):
        seconds, nanoseconds = divmod(int(np.datetime64(stamp.rstrip("Z"), "ns").astype(np.int64)), 10**9)
    else:
        seconds, nanoseconds = _get(stamp, "sec", "seconds", default=0), _get(stamp, "nsec", "nanos", default=0)
    return {"sec": int(seconds), "nanosec": int(nanoseconds)}


def _video(message: Any) -> Fields:
    named = {name: _get(message, name, default="") for name in ("frame_id", "format")}
    return {"timestamp": _stamp(message), "data": _bytes(message), **named}


def _bytes(message: Any) -> np.ndarray:
    data = _get(message, "data", default=b"")
    return np.frombuffer(base64.b64decode(data) if isinstance(data, str) else data, np.uint8)


def _compressed_image(message: Any) -> Fields:
    return {"header": _header(message), "format": _get(message, "format", default=""), "data": _bytes(message)}


def _image(message: Any) -> Fields:
    sizes = {name: int(_get(message, name, default=0)) for name in ("height", "width", "step")}
    return {
        "header": _header(message),
        **sizes,
        "encoding": _get(message, "encoding", default=""),
        "data": _bytes(message),
    }


def _camera_info(message: Any) -> Fields:
    def numbers(name: str, count: int) -> Sequence[float]:
        given = [float(each) for each in _get(message, name, default=())]
        return given if len(given) == count else [0.0] * count

    matrices = {"k": numbers("K", 9), "r": numbers("R", 9), "p": numbers("P", 12)}
    return {
        "header": _header(message),
        "width": int(_get(message, "width", default=0)),
        "height": int(_get(message, "height", default=0)),
        "distortion_model": _get(message, "distortion_model", default=""),
        "d": [float(each) for each in _get(message, "D", default=())],
        **matrices,
    }


def _transforms(message: Any) -> Fields:
    return {"transforms": [_transform(each) for each in _get(message, "transforms", default=())]}


def _one_transform(message: Any) -> Fields:
    return {"transforms": [_transform(message)]}


def _transform(message: Any) -> Fields:
    translation, rotation = _get(message, "translation", default={}), _get(message, "rotation", default={})
    return {
        "header": _header(message),
        "child_frame_id": _get(message, "child_frame_id", default=""),
        "transform": {
            "translation": {axis: float(_get(translation, axis, default=0.0)) for axis in "xyz"},
            "rotation": {axis: float(_get(rotation, axis, default=float(axis == "w"))) for axis in "xyzw"},
        },
    }


TRANSFORMS = "tf2_msgs/msg/TFMessage"
TYPES: dict[str, tuple[str, Callable[[Any], Fields]]] = {
    f"{PREFIX}CompressedImage": (COMPRESSED_IMAGE, _compressed_image),
    f"{PREFIX}CompressedVideo": (COMPRESSED_VIDEO, _video),
    f"{PREFIX}RawImage": (IMAGE, _image),
    f"{PREFIX}CameraCalibration": (CAMERA_INFO, _camera_info),
    f"{PREFIX}FrameTransform": (TRANSFORMS, _one_transform),
    f"{PREFIX}FrameTransforms": (TRANSFORMS, _transforms),
}
