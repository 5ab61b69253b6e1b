"""Choice of the image transport, and the reason when no image arrives: no publisher, wrong type, or QoS mismatch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

RAW, COMPRESSED = "raw", "compressed"


@dataclass(frozen=True)
class Publisher:
    """One publisher of a topic, from the ROS graph."""

    node: str
    type: str
    reliable: bool


@dataclass(frozen=True)
class ImagePublishers:
    """The publishers of the image topic and of its /compressed topic."""

    topic: str
    raw: Sequence[Publisher]
    compressed: Sequence[Publisher]


IMAGE_TYPES = {RAW: "sensor_msgs/msg/Image", COMPRESSED: "sensor_msgs/msg/CompressedImage"}


def of_type(publishers: Sequence[Publisher], transport: str) -> list[Publisher]:
    return [publisher for publisher in publishers if publisher.type == IMAGE_TYPES[transport]]


def choose(found: ImagePublishers) -> str | None:
    """The transport to subscribe to: raw if both are published, None if neither is."""
    if of_type(found.raw, RAW):
        return RAW
    if of_type(found.compressed, COMPRESSED):
        return COMPRESSED
    return None


def diagnose(found: ImagePublishers, transport: str | None, want_reliable: bool) -> str:
    """Why no image is received, and what to do about it."""
    wanted = transport or RAW
    topic = found.topic + ("/compressed" if wanted == COMPRESSED else "")
    publishers = found.compressed if wanted == COMPRESSED else found.raw
    if not publishers:
        return _absent(found, wanted, topic)
    matching = of_type(publishers, wanted)
    if not matching:
        first = publishers[0]
        return f"{topic} is published as {first.type} by {first.node}, expected {IMAGE_TYPES[wanted]}: set image_topic"
    if want_reliable and not any(publisher.reliable for publisher in matching):
        best_effort = f"{matching[0].node} publishes {topic} as best effort"
        return f"{best_effort}, but a reliable publisher is required: set input_reliability to best_effort"
    return f"{matching[0].node} publishes {topic} but no image arrives: is the camera running, or the recording paused?"


def _absent(found: ImagePublishers, wanted: str, topic: str) -> str:
    other = COMPRESSED if wanted == RAW else RAW
    others = found.compressed if wanted == RAW else found.raw
    if of_type(others, other):
        other_topic = found.topic + ("/compressed" if other == COMPRESSED else "")
        return (
            f"nobody publishes {topic}, but {others[0].node} publishes {other_topic}: set transport to {other} or auto"
        )
    return f"nobody publishes {topic}: start the camera, or set image_topic (see `ros2 topic list`)"
