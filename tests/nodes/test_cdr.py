"""Fields as bytes: the same as the message that ROS makes of them and serializes."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message

from camera_perception.io.message import failed_fields, perception_fields
from camera_perception.tools.bench import synthetic_inputs
from camera_perception.tools.bench.components import spec
from camera_perception_msgs.msg import FusedPerception, LaneLine, ModelInfo, PerceptionFrame
from camera_perception_ros.conversions.cdr import serialized
from camera_perception_ros.conversions.messages import message_from_fields

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


@pytest.mark.parametrize(("kind", "fields"), CASES)
def test_bytes_are_those_of_the_message(kind, fields):
    ours, theirs = serialized(kind, fields), serialize_message(message_from_fields(kind, fields))
    # Gaps may hold anything, and nan differs from itself: compare what is read.
    assert str(deserialize_message(ours, kind)) == str(deserialize_message(theirs, kind))
    assert len(ours) == len(bytes(theirs))


def test_unknown_fields_and_numbers_that_do_not_fit_are_refused():
    with pytest.raises(AttributeError, match="speed"):
        serialized(PerceptionFrame, {"speed": 3})
    with pytest.raises(struct.error):
        serialized(LaneLine, {"position": 200})
