"""The door of the fusion: frames of cameras that other machines may send, with any values in their fields."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from cases import documents
from door import Door
from door_messages import fields, numbers, seed, text, uint
from rclpy.serialization import deserialize_message, serialize_message
from rosidl_parser.definition import AbstractNestedType, Array, BasicType, NamespacedType

from camera_perception_msgs.msg import PerceptionFrame
from camera_perception_ros.fusion.camera_state import CameraState
from camera_perception_ros.fusion.merger import Merger
from camera_perception_ros.fusion.outputs import fused_outputs, surroundings_from_fused

SECOND = 1_700_000_000


def message(kind: Any, values: Any) -> Any:
    """A message with the values of a JSON object, each made to fit its field; what is missing keeps its default."""
    made, given = kind(), values if isinstance(values, dict) else {}
    for slot, slot_type in zip(made.get_fields_and_field_types(), kind.SLOT_TYPES):
        if slot in given:
            setattr(made, slot, fitted(slot_type, given[slot], getattr(made, slot)))
    return made


def fitted(slot_type: Any, value: Any, default: Any) -> Any:
    if isinstance(slot_type, NamespacedType):
        return message(type(default), value)
    if isinstance(slot_type, AbstractNestedType):
        return several(slot_type, value)
    if not isinstance(slot_type, BasicType):
        return text(value).encode("utf-8", "replace").decode()
    return scalar(slot_type.typename, value)


def several(slot_type: Any, value: Any) -> list[Any]:
    """The elements of an array; an array of fixed size holds numbers."""
    inner, values = slot_type.value_type, value if isinstance(value, list) else []
    if isinstance(slot_type, Array):
        return numbers(values, slot_type.size)
    if isinstance(inner, NamespacedType):
        return [message(element(inner), each) for each in values]
    return [scalar(inner.typename, each) for each in values]


def element(inner: NamespacedType) -> Any:
    return getattr(import_module(".".join(inner.namespaces)), inner.name)


def scalar(name: str, value: Any) -> Any:
    if name == "boolean":
        return bool(value)
    if name in ("float", "double"):
        number = numbers([value])[0]
        return number if name == "double" or abs(number) < 3e38 or number != number else float("inf")
    bits = int("".join(filter(str.isdigit, name)))
    number = uint(value, bits)
    return number if name.startswith("u") or number < 1 << (bits - 1) else number - (1 << bits)


def fused(case: bytes, folder: Path) -> None:
    """Two cameras, the frames of a case in turns, and the outputs after each."""
    cameras = [CameraState("front"), CameraState("left")]
    merger = Merger(cameras, "base_link", 0.5)
    entries = fields(case).get("frames")
    for number, values in enumerate((entries if isinstance(entries, list) else [])[:4]):
        cameras[number % 2].take(message(PerceptionFrame, values))
        result = merger.merge(SECOND * 10**9 + 50_000_000 * number)
        serialize_message(result)
        surroundings = surroundings_from_fused(result, merger.roads)
        for output in fused_outputs():
            _check(output.build(surroundings, result.header, result.traffic_lights), output.type)


def _check(built: Any, kind: type) -> None:
    """A message can be serialised, bytes of one can be read."""
    if isinstance(built, bytes):
        deserialize_message(built, kind)
    else:
        serialize_message(built)


def fused_seeds() -> list[bytes]:
    def frame(number: int) -> dict[str, Any]:
        stamp = {"sec": SECOND, "nanosec": 50_000_000 * number}
        at = {"x": 12.0 + 0.1 * number, "y": -1.0, "z": 0.0}
        found = {
            "class_name": "car", "score": 0.9, "track_id": 3, "track_age": 5, "has_position": True, "position": at,
            "position_method": 1, "position_cov": [0.5, 0.0, 0.0, 0.2], "ground_width": 1.8, "range": 12.0,
            "has_velocity": True, "velocity": {"x": 1.0, "y": 0.0, "z": 0.0}, "velocity_cov": [0.3, 0.0, 0.0, 0.3],
        }  # fmt: skip
        line = {
            "position": -1, "lane_id": 1, "score": 0.8, "line_type": 1, "color": 1, "has_ground": True,
            "x": [5.0, 10.0, 20.0], "y": [1.7, 1.7, 1.8], "y_std": [0.1, 0.1, 0.2], "poly": [1.7, 0.0, 0.0, 0.0],
            "x_min": 5.0, "x_max": 20.0,
        }  # fmt: skip
        corners = [{"x": x, "y": y, "z": 0.0} for x, y in ((2.0, -3.0), (20.0, -3.0), (20.0, 3.0), (2.0, 3.0))]
        return {
            "header": {"stamp": stamp, "frame_id": "optical"}, "base_frame": "base_link", "status_flags": 0,
            "objects": [found], "status": 0, "tasks_valid": 31, "frames_dropped": 0,
            "lanes": [line, {**line, "position": 1}],
            "road": {"has_ground": True, "ground": corners, "free_distance_ahead": 20.0},
            "traffic_lights": [{"score": 0.7, "relevance": 1}],
            "scene": [{"name": "weather", "label": "rainy", "score": 0.6}],
        }  # fmt: skip

    return [seed({"frames": [frame(number) for number in range(count)]}) for count in (1, 4)]


DOORS = [Door("fused_frame", fused, fused_seeds, documents)]
