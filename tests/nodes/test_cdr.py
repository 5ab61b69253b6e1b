"""Serialised fields are the bytes that ROS makes of the same message."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message

from camera_perception.io.cdr import serialize
from camera_perception.io.perception_frame import failed_fields, perception_fields
from camera_perception.tools.bench import synthetic_inputs
from camera_perception.tools.bench.components import spec
from camera_perception_msgs.msg import (
    DetectedObject,
    FusedPerception,
    LaneLine,
    ModelInfo,
    PerceptionFrame,
    TrafficLight,
)

EVERYTHING = {
    "header": {"stamp": {"sec": 7, "nanosec": 8}, "frame_id": "cam"},
    "camera_name": "fr\u00f6nt",
    "frame_seq": np.int64(2**40),
    "age_ms": 1.5,
    "objects": [
        {
            "class_name": "car",
            "alternatives": [{"class_id": 3, "class_name": "truck", "score": 0.25}],
            "position": {"x": 3.0, "y": -1.0, "z": 0.0},
            "position_cov": np.eye(2, dtype=np.float32).ravel(),
            "has_position": True,
        },
        {"class_name": "", "coasted": True},
    ],
    "lanes": [{"u": np.arange(3, dtype=np.float32), "poly": [1, 2, 3, 4], "position": -2}, {}],
    "road": {"u": [1.0], "ground": [{"x": 1.0, "y": 2.0, "z": 0.0}, {"x": -1.0, "y": 5.0, "z": 0.0}]},
    "traffic_lights": [{"elements": [{"color": 1, "confidence": 0.5}] * 3}],
    "scene": [{"name": "weather", "label": "rainy", "score": 0.5}],
}
CASES = [
    (PerceptionFrame, {}),
    (PerceptionFrame, EVERYTHING),
    (PerceptionFrame, failed_fields(5, "cam", 4)),
    (PerceptionFrame, perception_fields(synthetic_inputs.perception(7), spec(), camera_name="front")),
    (ModelInfo, {"heads": [{"name": "lanes", "class_names": ["a", "", "long name"], "thresholds": [0.5]}]}),
    (FusedPerception, {"objects": [{"cameras": [1, 2], "camera_track_ids": [3, 4]}], "traffic_light_cameras": [7]}),
]


def type_name(cls: type) -> str:
    return f"camera_perception_msgs/msg/{cls.__name__}"


def filled(message: Any, values: Mapping[str, Any]) -> Any:
    """A ROS message with its fields set one by one."""
    for name, value in values.items():
        default, declared = getattr(message, name), message.get_fields_and_field_types()[name]
        if isinstance(value, dict):
            filled(default, value)
            continue
        if isinstance(value, list) and value and isinstance(value[0], dict):
            package, _, element = declared.removeprefix("sequence<").removesuffix(">").partition("/")
            cls = getattr(import_module(f"{package}.msg"), element)
            value = [filled(cls(), item) for item in value]
        elif isinstance(default, (array, np.ndarray)):
            value = np.asarray(value).tolist()
        elif isinstance(value, np.generic):
            value = value.item()
        setattr(message, name, value)
    return message


@pytest.mark.parametrize(("cls", "fields"), CASES)
def test_bytes_are_those_of_ros(cls, fields):
    ours, theirs = serialize(type_name(cls), fields), bytes(serialize_message(filled(cls(), fields)))
    # Padding may hold anything, and nan differs from itself: compare what is read.
    assert str(deserialize_message(ours, cls)) == str(deserialize_message(theirs, cls))
    assert len(ours) == len(theirs)


def test_a_subscriber_reads_every_type_of_field():
    message = deserialize_message(serialize(type_name(PerceptionFrame), EVERYTHING), PerceptionFrame)
    assert (message.header.stamp.sec, message.header.frame_id, message.frame_seq) == (7, "cam", 2**40)
    detection, lane, light = message.objects[0], message.lanes[0], message.traffic_lights[0]
    assert (type(detection), type(lane), type(light)) == (DetectedObject, LaneLine, TrafficLight)
    assert (detection.position.x, detection.has_position) == (3.0, True)
    assert list(lane.u) == [0.0, 1.0, 2.0]
    np.testing.assert_array_equal(lane.poly, [1, 2, 3, 4])
    assert light.elements[0].confidence == 0.5
