"""Serialised fields are the bytes that rosbags makes of the same message, for every message type of ROS 2."""

from __future__ import annotations

import random
import struct
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from camera_perception.core.errors import BagError
from camera_perception.io.cdr import serialize
from camera_perception.io.ros_types import (
    PERCEPTION_FRAME,
    STANDARD,
    deserialize,
    field_types,
    fields_from_message,
    message_files,
    typestore,
)

OURS = [f"camera_perception_msgs/msg/{name}" for name in message_files()]
COMMON = sorted(name for name in typestore().fielddefs if "/msg/" in name and name not in OURS)


def random_message(kind: str, dice: random.Random) -> tuple[dict[str, Any], Any]:
    """Nested fields, and the same as a rosbags message."""
    pairs = {name: random_value(node, dice) for name, node in typestore().fielddefs[kind][1]}
    message = typestore().types[kind](**{name: theirs for name, (_, theirs) in pairs.items()})
    return {name: ours for name, (ours, _) in pairs.items()}, message


def random_value(node: Any, dice: random.Random) -> tuple[Any, Any]:
    kind, content = node
    if kind.name == "NAME":
        return random_message(content, dice)
    if kind.name == "BASE":
        return (random_base(content[0], dice),) * 2
    element, length = content
    count = length if kind.name == "ARRAY" else dice.choice([0, 1, 3])
    if element[0].name == "BASE" and element[1][0] != "string":
        name = element[1][0].replace("char", "uint8")
        numbers = np.array([random_base(name, dice) for _ in range(count)], name)
        return numbers, numbers
    items = [random_value(element, dice) for _ in range(count)]
    return [ours for ours, _ in items], [theirs for _, theirs in items]


def random_base(name: str, dice: random.Random) -> Any:
    if name == "string":
        return "fr\u00f6nt"[: dice.randrange(6)]
    if name == "bool":
        return dice.random() < 0.5
    return dice.random() if name.startswith("float") else dice.randrange(100)


@pytest.mark.parametrize("kinds", [OURS, COMMON], ids=["ours", "common"])
def test_bytes_are_those_of_rosbags(kinds):
    for kind in kinds:
        for seed in range(2):
            fields, message = random_message(kind, random.Random(seed))
            assert serialize(kind, fields) == bytes(typestore().serialize_cdr(message, kind)), kind


@pytest.mark.parametrize("kinds", [OURS, COMMON], ids=["ours", "common"])
def test_every_field_may_be_missing(kinds):
    for kind in kinds:
        message = deserialize(kind, serialize(kind, {}))
        assert serialize(kind, {}) == bytes(typestore().serialize_cdr(message, kind)), kind


def test_fields_of_points_may_be_missing():
    area = "camera_perception_msgs/msg/DrivableArea"
    whole = {"ground": [{"x": 1.0, "y": 2.0, "z": 0.0}, {"x": 0.0, "y": 3.0, "z": 0.0}]}
    assert serialize(area, {"ground": [{"x": 1.0, "y": 2.0}, {"y": 3.0}]}) == serialize(area, whole)


@pytest.mark.parametrize("kind", OURS)
def test_missing_fields_are_zero_or_empty(kind):
    fields = fields_from_message(deserialize(kind, serialize(kind, {})))
    assert fields.keys() == field_types(kind).keys()
    assert not any(value for value in fields.values() if np.isscalar(value))


def test_the_standard_types_written_here_are_those_of_ros():
    for kind in STANDARD:
        assert list(field_types(kind)) == [name for name, _ in typestore().fielddefs[kind][1]]


def test_field_types_are_read_from_the_message_text(monkeypatch):
    text = (
        """
    # uint8 commented  # out
    """
        + "uint8 ONE=1\nint32 TWO = 2\nHeader header # x\nstring<=5 a\nfloat32[<=3] b\nfloat64[4] c\nOther[] d\nx/Y e\n"
    )
    monkeypatch.setattr("camera_perception.io.ros_types._message_text", lambda kind: text)
    assert field_types("pkg/msg/Test") == {
        "header": "std_msgs/msg/Header",
        "a": "string",
        "b": "float32[]",
        "c": "float64[4]",
        "d": "pkg/msg/Other[]",
        "e": "x/msg/Y",
    }


def test_unknown_fields_types_and_numbers_that_do_not_fit_are_refused():
    with pytest.raises(KeyError, match="has no field speed"):
        serialize(PERCEPTION_FRAME, {"speed": 3})
    with pytest.raises(KeyError, match="position has no field w"):
        serialize("camera_perception_msgs/msg/DetectedObject", {"position": {"x": 1.0, "w": 2.0}})
    with pytest.raises(KeyError, match="has no field colour"):
        serialize(PERCEPTION_FRAME, {"traffic_lights": [{"elements": [{"colour": 1}]}]})
    with pytest.raises(struct.error):
        serialize("camera_perception_msgs/msg/LaneLine", {"position": 200})
    with pytest.raises(struct.error):
        serialize("camera_perception_msgs/msg/LaneLine", {"poly": [1, 2, 3]})
    with pytest.raises(BagError, match="some_msgs/msg/Unknown is unknown here"):
        serialize("some_msgs/msg/Unknown", {})


def test_our_messages_need_no_rosbags():
    code = (
        "import sys; from camera_perception.io.cdr import serialize\n"
        f"for kind in {OURS}: serialize(kind, {{}})\n"
        "assert 'rosbags' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert done.returncode == 0, done.stderr
