"""What the messages of an mcap channel are in ROS 2: as they are, from ROS 1, or from Foxglove's own types."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from camera_perception.io.offered_qos import profiles_of
from camera_perception.io.recording.mcap_records import Channel, Schema


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


def translation_of(schema: Schema | None, channel: Channel) -> Translation:
    """By the encodings that the file names."""
    if schema is None:
        return Translation("", problem="has no schema: record it with one")
    if channel.encoding == "cdr":
        return Translation(
            schema.name,
            schema.data.decode(errors="replace"),
            profiles_of(channel.metadata.get("offered_qos_profiles", "")),
        )
    return Translation(schema.name, problem=f"is {schema.name[:80]} in {channel.encoding[:40]}, which is not supported")
