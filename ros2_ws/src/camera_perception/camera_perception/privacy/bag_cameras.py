"""Which topics of a recording show the world, and whether all of them can be looked at."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice

from camera_perception.bag import Bag
from camera_perception.bag_types import COMPRESSED_IMAGE, IMAGE
from camera_perception.errors import BadImage, BagError
from camera_perception.privacy.picture import read

# Types of other packages that carry pictures: CompressedVideo, theora and ffmpeg packets, DisparityImage ...
PICTURES = re.compile(r"(Image|Video|/Packet|FFMPEGPacket)$")
TRIES = 3


def cameras_of(bag: Bag, keep: Sequence[str], drop: Sequence[str]) -> list[str]:
    """Image topics to be covered. BagError names one whose pictures cannot be looked at: nothing slips through."""
    absent = [topic for topic in (*keep, *drop) if topic not in bag.topics]
    if absent:
        raise BagError(f"{bag.path} has no topic {absent[0]}: it has {', '.join(bag.topics)}")
    cameras = [topic for topic in bag.image_topics if topic not in keep and topic not in drop]
    for topic, kind in bag.topics.items():
        if topic in keep or topic in drop:
            continue
        if topic in cameras:
            _try(bag, topic)
        elif shows_pictures(kind):
            raise _cannot(topic, f"is {kind}")
    return cameras


def shows_pictures(kind: str) -> bool:
    """Whether a message type, other than sensor_msgs Image and CompressedImage, likely carries pictures."""
    return kind not in (IMAGE, COMPRESSED_IMAGE) and bool(PICTURES.search(kind))


def _try(bag: Bag, topic: str) -> None:
    """One of the first images must be decodable: depth maps and other formats are not."""
    problem: BadImage | None = None
    for message in islice(bag.messages([topic]), TRIES):
        try:
            read(message.kind, message.data).pixels()
            return
        except BadImage as error:
            problem = error
    if problem is not None:
        raise _cannot(topic, f"cannot be decoded ({problem})")


def _cannot(topic: str, why: str) -> BagError:
    return BagError(
        f"{topic} {why}: leave it out with --drop {topic}, or pass it on as it is with --keep {topic} "
        "if nobody can be recognised in it"
    )
