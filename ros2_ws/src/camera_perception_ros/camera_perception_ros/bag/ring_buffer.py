"""The last seconds of all topics in memory, written to a recording on request."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from camera_perception.io.bag_writer import BagWriter
from camera_perception.io.offered_qos import by_name, is_latched
from camera_perception.io.ros_types import typestore
from camera_perception_ros.bag.record_writer import Change, check_room, unchanged
from camera_perception_ros.conversions.serialized import register

MOST_LATCHED = 100  # messages kept of a latched topic, however old: /tf_static has one per publisher


class _Kept(NamedTuple):
    """received is on the monotonic clock, in seconds: the buffer's length survives a jump of the system's clock."""

    received: float
    topic: str
    stamp_ns: int
    data: bytes


class RingBuffer:
    """Keeps messages for some seconds, and the messages of latched topics for good. Thread-safe.

    folder       gets one recording per `save`
    version      of the rosbag2 metadata
    limit_bytes  of all messages; the oldest give way before their time, and `lost` counts them
    written      messages per topic in the recordings saved so far
    """

    def __init__(
        self,
        folder: Path,
        version: int,
        seconds: float,
        limit_bytes: int,
        change: Change = unchanged,
        min_free: int = 0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder, self.seconds, self.lost = folder, seconds, 0
        self.written: Counter[str] = Counter()
        self._version, self._limit, self._change = version, limit_bytes, change
        self._min_free, self._now = min_free, now
        self._lock, self._saving = threading.Lock(), threading.Lock()
        self._topics: dict[str, tuple[str, Sequence[Any]]] = {}
        self._latched: dict[str, deque[_Kept]] = {}
        self._messages: deque[_Kept] = deque()
        self._bytes = 0

    def add_topic(self, topic: str, type_: str, qos: Sequence[Any] = ()) -> None:
        """As in RecordWriter."""
        register(typestore(), type_)
        with self._lock:
            self._topics[topic] = type_, qos
            if is_latched(qos or by_name(topic)):
                self._latched[topic] = deque(maxlen=MOST_LATCHED)

    def put(self, topic: str, stamp_ns: int, data: bytes) -> None:
        with self._lock:
            now = self._now()
            self._messages.append(_Kept(now, topic, stamp_ns, data))
            self._bytes += len(data)
            while self._messages and now - self._messages[0].received > self.seconds:
                self._forget_oldest()
            while self._bytes > self._limit and len(self._messages) > 1:
                self._forget_oldest()
                self.lost += 1

    def _forget_oldest(self) -> None:
        oldest = self._messages.popleft()
        self._bytes -= len(oldest.data)
        if oldest.topic in self._latched:
            self._latched[oldest.topic].append(oldest)

    def save(self) -> str:
        """Write what is kept to a new recording; returns one line about it. PerceptionError when that fails."""
        with self._saving:
            topics, messages = self._snapshot()
            if not messages:
                return "nothing to save: no message was received in the last seconds"
            folder = self._new_folder()
            check_room(folder, self._min_free + sum(len(message.data) for message in messages))
            with BagWriter(folder, version=self._version) as bag:
                for topic, (type_, qos) in topics.items():
                    bag.add_topic(topic, type_, qos=qos or None)
                for message in messages:
                    self._write(bag, message, topics[message.topic][0])
            self.written += bag.counts
        length = (messages[-1].stamp_ns - messages[0].stamp_ns) / 1e9
        lost = f"; {self.lost} left early, raise 'queue_mib'" if self.lost else ""
        return f"saved {sum(bag.counts.values())} messages of the last {length:.1f} s in {folder}{lost}"

    def _write(self, bag: BagWriter, message: _Kept, type_: str) -> None:
        allowed = self._change(message.topic, type_, message.data)
        if allowed is not None:
            bag.write(message.topic, message.stamp_ns, allowed)

    def _snapshot(self) -> tuple[dict[str, tuple[str, Sequence[Any]]], list[_Kept]]:
        """Topics and messages in order; old messages of latched topics come first, with the stamp of the first."""
        with self._lock:
            oldest_allowed = self._now() - self.seconds
            while self._messages and self._messages[0].received < oldest_allowed:
                self._forget_oldest()
            recent = list(self._messages)
            start_ns = recent[0].stamp_ns if recent else 0
            latched = [kept._replace(stamp_ns=start_ns) for each in self._latched.values() for kept in each]
            return dict(self._topics), (latched if recent else []) + recent

    def _new_folder(self) -> Path:
        name = f"saved_{datetime.now(timezone.utc):%Y-%m-%d_%H-%M-%S}"
        names = (name, *(f"{name}_{number}" for number in range(2, 1000)))
        return next(self.folder / each for each in names if not (self.folder / each).exists())

    def close(self) -> None:
        """Forget everything; a save that is running is completed."""
        with self._saving, self._lock:
            self._messages.clear()
