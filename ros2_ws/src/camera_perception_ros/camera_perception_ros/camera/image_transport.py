"""Choice of the image transport, and the reason when no image arrives: no publisher, wrong type, or QoS mismatch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec

from camera_perception.io.ros_types import COMPRESSED_IMAGE, COMPRESSED_VIDEO, FFMPEG_PACKET, IMAGE

RAW, COMPRESSED, FFMPEG, FOXGLOVE = "raw", "compressed", "ffmpeg", "foxglove"
VIDEO = (FFMPEG, FOXGLOVE)


@dataclass(frozen=True)
class Publisher:
    """One publisher of a topic, from the ROS graph."""

    node: str
    type: str
    reliable: bool


@dataclass(frozen=True)
class ImagePublishers:
    """The publishers of the image topic, of its /compressed topic, and of its videos by transport."""

    topic: str
    raw: Sequence[Publisher]
    compressed: Sequence[Publisher]
    video: Mapping[str, Sequence[Publisher]] = field(default_factory=dict)

    def of(self, transport: str) -> Sequence[Publisher]:
        return {RAW: self.raw, COMPRESSED: self.compressed, **self.video}.get(transport, ())


IMAGE_TYPES = {RAW: IMAGE, COMPRESSED: COMPRESSED_IMAGE, FFMPEG: FFMPEG_PACKET, FOXGLOVE: COMPRESSED_VIDEO}


def topic_of(image_topic: str, transport: str) -> str:
    """Where image_transport publishes a transport of an image topic."""
    return image_topic if transport == RAW else f"{image_topic}/{transport}"


def of_type(publishers: Sequence[Publisher], transport: str) -> list[Publisher]:
    return [publisher for publisher in publishers if publisher.type == IMAGE_TYPES[transport]]


def choose(found: ImagePublishers) -> str | None:
    """The transport to subscribe to: the first of raw, compressed and video that is published, None if none is."""
    return next((transport for transport in IMAGE_TYPES if of_type(found.of(transport), transport)), None)


def diagnose(found: ImagePublishers, transport: str | None, want_reliable: bool) -> str:
    """Why no image is received, and what to do about it."""
    wanted = transport or RAW
    if wanted in VIDEO and (missing := missing_packages(wanted)):
        return f"video on {topic_of(found.topic, wanted)} needs {' and '.join(missing)}: install, or set transport"
    topic, publishers = topic_of(found.topic, wanted), found.of(wanted)
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
    for other in IMAGE_TYPES:
        if other != wanted and (others := of_type(found.of(other), other)):
            published = f"{others[0].node} publishes {topic_of(found.topic, other)}"
            needs = _needs(other) if other in VIDEO else ""
            return f"nobody publishes {topic}, but {published}: set transport to {other} or auto{needs}"
    return f"nobody publishes {topic}: start the camera, or set image_topic (see `ros2 topic list`)"


def _needs(transport: str) -> str:
    """What a video transport needs, where it is missing."""
    missing = missing_packages(transport)
    return f", and install {' and '.join(missing)}" if missing else ""


def missing_packages(transport: str) -> list[str]:
    """Packages that a transport needs and that are not installed."""
    needed = [IMAGE_TYPES[transport].partition("/")[0], *(["av"] if transport in VIDEO else [])]
    return [package for package in needed if find_spec(package) is None]
