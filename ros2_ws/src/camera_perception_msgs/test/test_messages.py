"""Every message and service of this package imports, and survives serialization."""

from __future__ import annotations

from pathlib import Path

import pytest
from rclpy.serialization import deserialize_message, serialize_message

from camera_perception_msgs import msg, srv

PACKAGE = Path(__file__).resolve().parents[1]
MESSAGES = sorted(path.stem for path in PACKAGE.glob("msg/*.msg"))
SERVICES = sorted(path.stem for path in PACKAGE.glob("srv/*.srv"))


def test_there_are_messages_and_services():
    assert MESSAGES
    assert SERVICES


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_survives_serialization(name):
    cls = getattr(msg, name)
    message = cls()
    for field, type_ in cls.get_fields_and_field_types().items():
        if type_ == "string":
            setattr(message, field, "text")
        elif type_ in ("uint8", "uint16", "uint32", "uint64"):
            setattr(message, field, 7)
    again = deserialize_message(serialize_message(message), cls)
    assert str(again) == str(message)  # NaN differs from itself, its text does not


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_survives_serialization(name):
    for part in (getattr(srv, name).Request, getattr(srv, name).Response):
        assert deserialize_message(serialize_message(part()), part) == part()
