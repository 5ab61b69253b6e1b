"""The messages say what they hold, and their numbers are those that others rely on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rclpy.serialization import deserialize_message, serialize_message

import camera_perception_msgs.msg
import camera_perception_msgs.srv
from camera_perception.core.types import Edge, LineColor, LineType, PositionMethod, Status, Task
from camera_perception.engines import BACKENDS
from camera_perception.engines.deviation import PRECISION_FACTORS
from camera_perception_msgs.msg import DetectedObject, LaneLine, PerceptionFrame, TrafficLightElement

PACKAGE = Path(__file__).parents[2] / "ros2_ws/src/camera_perception_msgs"
FILES = sorted(PACKAGE.glob("msg/*.msg"))
UNITS = r"(px|m|m/s|m\^2|m\^2/s\^2|1/m|rad|ms|Hz|0\.\.1)\b"
FIELD = re.compile(r"^(?P<type>[\w/]+(\[\d*\])?) +(?P<name>[a-z]\w*)(?P<rest>.*)$")


def test_the_engines_and_precisions_of_model_info_are_all_there_are():
    lines = {name: comment for _, name, comment in fields((PACKAGE / "msg/ModelInfo.msg").read_text())}
    assert re.findall(r'"(\w+)"', lines["backend"]) == list(BACKENDS)
    assert re.findall(r'"(\w+)"', lines["precision"]) == list(PRECISION_FACTORS)


def fields(text: str) -> list[tuple[str, str, str]]:
    """(type, name, comment) of each field; constants are written in capitals and left out."""
    found = [FIELD.match(line) for line in text.splitlines()]
    return [(m["type"], m["name"], m["rest"].partition("#")[2].strip()) for m in found if m]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_field_has_a_comment(file):
    assert [name for _, name, comment in fields(file.read_text()) if not comment] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_number_begins_its_comment_with_the_unit(file):
    floats = [(name, comment) for kind, name, comment in fields(file.read_text()) if kind.startswith("float")]
    assert [name for name, comment in floats if not re.match(UNITS, comment)] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_built_messages_are_those_of_the_source(file):
    built = getattr(camera_perception_msgs.msg, file.stem).get_fields_and_field_types()
    assert list(built) == [name for _, name, _ in fields(file.read_text())], "run make setup"


@pytest.mark.parametrize("file", sorted(PACKAGE.glob("srv/*.srv")), ids=lambda file: file.stem)
def test_every_service_field_has_a_comment_and_is_built(file):
    request, response = (fields(part) for part in file.read_text().split("---"))
    assert all(comment for _, _, comment in request + response)
    built = getattr(camera_perception_msgs.srv, file.stem)
    assert list(built.Request.get_fields_and_field_types()) == [name for _, name, _ in request]
    assert list(built.Response.get_fields_and_field_types()) == [name for _, name, _ in response]


@pytest.mark.parametrize(
    ("name", "number"),
    [
        *(("RED", 1), ("AMBER", 2), ("GREEN", 3), ("WHITE", 4)),
        *(("CIRCLE", 5), ("LEFT_ARROW", 6), ("RIGHT_ARROW", 7), ("UP_ARROW", 8), ("DOWN_ARROW", 9)),
        *(("DOWN_LEFT_ARROW", 10), ("DOWN_RIGHT_ARROW", 11), ("CROSS", 12)),
        *(("SOLID_OFF", 13), ("SOLID_ON", 14), ("FLASHING", 15), ("UNKNOWN", 16)),
    ],
)
def test_a_lamp_keeps_the_numbers_of_autoware_s_first_release(name, number):
    assert getattr(TrafficLightElement, name) == number


def test_a_lamp_has_the_fields_of_autoware():
    assert TrafficLightElement.get_fields_and_field_types() == {
        "color": "uint8",
        "shape": "uint8",
        "status": "uint8",
        "confidence": "float",
    }


@pytest.mark.parametrize(
    ("message", "enum", "prefix"),
    [
        (PerceptionFrame, Task, ""),
        (PerceptionFrame, Status, ""),
        (DetectedObject, Edge, "TRUNCATED_"),
        (DetectedObject, PositionMethod, ""),
        (LaneLine, LineType, ""),
        (LaneLine, LineColor, ""),
    ],
)
def test_the_library_counts_as_the_messages_do(message, enum, prefix):
    assert {bit.name: getattr(message, prefix + bit.name) for bit in enum} == {bit.name: bit.value for bit in enum}


def test_a_frame_with_a_busy_road_stays_small_and_survives_the_wire():
    frame = PerceptionFrame(camera_name="front", tasks_valid=PerceptionFrame.OBJECTS | PerceptionFrame.LANES)
    frame.objects = [DetectedObject(class_name="car", track_id=n) for n in range(50)]
    frame.lanes = [LaneLine(u=[1.0] * 48, v=[2.0] * 48, x=[3.0] * 48, y=[4.0] * 48, y_std=[0.1] * 48)] * 6
    data = serialize_message(frame)
    assert len(data) < 24_000
    assert deserialize_message(data, PerceptionFrame) == frame
