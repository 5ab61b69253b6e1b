"""What the messages of a topic are in ROS 2, whatever they were recorded as."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


def _as_recorded(data: bytes) -> bytes | None:
    return data


@dataclass(frozen=True)
class Translation:
    """Of the messages of one topic.

    kind        ROS 2 type, such as sensor_msgs/msg/Image
    definition  its text, where the recording has one
    convert     bytes as recorded to CDR; None for a message that cannot be converted
    problem     why the topic cannot be read, as the end of a sentence that begins with its name; "" when it can
    """

    kind: str
    definition: str = ""
    qos: list[Any] = field(default_factory=list)
    convert: Callable[[bytes], bytes | None] = _as_recorded
    problem: str = ""
