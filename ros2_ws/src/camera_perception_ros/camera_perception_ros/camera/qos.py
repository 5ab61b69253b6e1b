"""Why no image arrives, in one line: nobody publishes, another form is published, or QoS does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

RAW, COMPRESSED = "raw", "compressed"


@dataclass(frozen=True)
class Publisher:
    """One publisher of a topic as the graph shows it."""

    node: str
    type: str
    reliable: bool


@dataclass(frozen=True)
class Observations:
    """What is published at the image topic and at its /compressed sibling."""

    topic: str
    raw: Sequence[Publisher]
    compressed: Sequence[Publisher]


IMAGE_TYPES = {RAW: "sensor_msgs/msg/Image", COMPRESSED: "sensor_msgs/msg/CompressedImage"}


def of_type(publishers: Sequence[Publisher], transport: str) -> list[Publisher]:
    return [publisher for publisher in publishers if publisher.type == IMAGE_TYPES[transport]]


def choose(seen: Observations) -> str | None:
    """The transport to subscribe to: raw where both are published, None while there is none."""
    if of_type(seen.raw, RAW):
        return RAW
    if of_type(seen.compressed, COMPRESSED):
        return COMPRESSED
    return None


def diagnose(seen: Observations, transport: str | None, want_reliable: bool) -> str | None:
    """The reason why nothing is received, and what to do; None when the graph shows none."""
    wanted = transport or RAW
    topic = seen.topic + ("/compressed" if wanted == COMPRESSED else "")
    publishers = seen.compressed if wanted == COMPRESSED else seen.raw
    if not publishers:
        return _absent(seen, wanted, topic)
    fitting = of_type(publishers, wanted)
    if not fitting:
        first = publishers[0]
        return f"{topic} is published as {first.type} by {first.node}, expected {IMAGE_TYPES[wanted]}: set image_topic"
    if want_reliable and not any(publisher.reliable for publisher in fitting):
        lossy = f"{topic} is published best effort by {fitting[0].node}"
        return f"{lossy}, we ask for reliable: set input_reliability to best_effort"
    return f"{fitting[0].node} publishes {topic} but no image arrives: is the camera running, or the recording paused?"


def _absent(seen: Observations, wanted: str, topic: str) -> str:
    other = COMPRESSED if wanted == RAW else RAW
    there = seen.compressed if wanted == RAW else seen.raw
    if of_type(there, other):
        at = seen.topic + ("/compressed" if other == COMPRESSED else "")
        return f"nobody publishes {topic}, but {there[0].node} publishes {at}: set transport to {other} or auto"
    return f"nobody publishes {topic}: start the camera, or set image_topic (see `ros2 topic list`)"
