"""What a recording holds: its contents and its messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class RawMessage:
    """One message as recorded; `kind` is its type, such as sensor_msgs/msg/Image, `stamp_ns` the time of recording."""

    topic: str
    kind: str
    stamp_ns: int
    data: bytes


@dataclass(frozen=True)
class Contents:
    """Topics and times of a recording.

    topics      name: type
    counts      name: number of messages
    definitions type: message definition, where the recording has one
    qos         name: QoS profiles offered by the publishers as rosbags objects, where recorded
    complete    False when the recording is truncated or damaged
    lost        one phrase about what damage has cost; "" when nothing is known to be lost
    unread      topic: why its messages cannot be read; they are not among `topics`
    """

    topics: dict[str, str]
    counts: Counter[str]
    start_ns: int
    end_ns: int
    definitions: dict[str, str] = field(default_factory=dict)
    qos: dict[str, list[Any]] = field(default_factory=dict)
    complete: bool = True
    lost: str = ""
    unread: dict[str, str] = field(default_factory=dict)


Select = Callable[[Collection[str], int], Iterator[RawMessage]]  # (topics, first stamp in ns) -> messages
