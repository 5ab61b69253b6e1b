"""What a unit reads from a recording: its cameras, whether images follow each other, and the speed of the vehicle."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from math import hypot, isfinite
from pathlib import Path

from camera_perception.io.bag_reader import Bag, is_bag
from camera_perception.io.ros_types import deserialize
from camera_perception.tools.replay.independence import are_separate
from camera_perception.tools.replay.source import Source, camera_name, image_files, open_source

SPEED_TOPICS = ("nav_msgs/msg/Odometry", "geometry_msgs/msg/TwistStamped")
MAX_AGE_NS = 500_000_000  # of a speed, from the image


def camera_topics(path: Path, camera: str | None) -> list[str | None]:
    """The image topics to process: the one asked for, else one per camera; [None] where there are no topics."""
    if not is_bag(path):
        return [None]
    if camera is not None:
        return [camera]
    with Bag(path) as bag:
        by_name = {camera_name(topic): topic for topic in reversed(bag.image_topics)}  # raw before compressed
    if not by_name:
        raise ValueError("the recording has no image topic")
    return [by_name[name] for name in sorted(by_name)]


def opened(path: Path, topic: str | None) -> Source:
    """The images of a camera; pictures of a folder that do not follow each other are separate."""
    files = [] if is_bag(path) else image_files(path)
    source = open_source(path, topic)
    return replace(source, separate=True) if files and are_separate(files) else source


class Speeds:
    """Speed of the vehicle by stamp, from the first topic of a recording that tells it."""

    def __init__(self, path: Path) -> None:
        self._stamps: list[int] = []
        self._speeds: list[float] = []
        if is_bag(path):
            with Bag(path) as bag:
                self._read(bag)

    def _read(self, bag: Bag) -> None:
        topics = [topic for kind in SPEED_TOPICS for topic, found in bag.topics.items() if found == kind]
        found = []
        for message in bag.messages(topics[:1]) if topics else ():
            ros = deserialize(message.kind, message.data)
            twist = ros.twist.twist if message.kind == SPEED_TOPICS[0] else ros.twist
            speed = hypot(twist.linear.x, twist.linear.y)
            if isfinite(speed):
                found.append((ros.header.stamp.sec * 10**9 + ros.header.stamp.nanosec, speed))
        found.sort()
        self._stamps, self._speeds = [stamp for stamp, _ in found], [speed for _, speed in found]

    def at(self, stamp_ns: int) -> float | None:
        """m/s at the nearest stamp; None where there is none within half a second."""
        index = bisect_left(self._stamps, stamp_ns)
        near = [i for i in (index - 1, index) if 0 <= i < len(self._stamps)]
        best = min(near, key=lambda i: abs(self._stamps[i] - stamp_ns), default=None)
        return self._speeds[best] if best is not None and abs(self._stamps[best] - stamp_ns) <= MAX_AGE_NS else None
