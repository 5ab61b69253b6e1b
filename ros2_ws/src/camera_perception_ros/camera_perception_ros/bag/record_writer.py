"""The writer thread of the recorder: serialized messages to an mcap file that `ros2 bag` reads."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

from camera_perception.core.errors import BagError
from camera_perception.io.bag_writer import BagWriter
from camera_perception.io.ros_types import typestore
from camera_perception_ros.conversions.serialized import register

Change = Callable[[str, str, bytes], "bytes | None"]


def unchanged(topic: str, type_: str, data: bytes) -> bytes | None:
    return data


class RecordWriter:
    """Accepts (topic, time, bytes) from any thread and writes them in a thread of its own.

    change  called in that thread with topic, type and bytes; returns the bytes to record, or None to drop the message

    When the disk fails, `failed` is called with one line, the file is closed, and the rest is counted as lost.
    """

    def __init__(
        self, folder: str, version: int, limit_bytes: int, failed: Callable[[str], None], change: Change = unchanged
    ) -> None:
        self._limit, self._failed, self._change = limit_bytes, failed, change
        self._types: dict[str, str] = {}
        self._bag = BagWriter(folder, version=version)
        self._queue: deque[tuple[str, int, bytes]] = deque()
        self._queued_bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        self.broken = ""
        self.written: Counter[str] = Counter()
        self.lost = 0
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def add_topic(self, topic: str, type_: str, qos: Sequence[Any] = ()) -> None:
        """Announce a topic before its first message; type_ is like sensor_msgs/msg/Image, qos as in `BagWriter`."""
        register(typestore(), type_)
        with self._changed:
            self._bag.add_topic(topic, type_, qos=qos or None)
            self._types[topic] = type_

    def put(self, topic: str, stamp_ns: int, data: bytes) -> None:
        """Queue a message; it is lost when the disk has failed or the queue exceeds `limit_bytes`."""
        with self._changed:
            if self.broken or self._queued_bytes + len(data) > self._limit:
                self.lost += 1
                return
            self._queue.append((topic, stamp_ns, data))
            self._queued_bytes += len(data)
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closing)
                if not self._queue:
                    return
                topic, stamp_ns, data = self._queue.popleft()
                self._queued_bytes -= len(data)
            self._write(topic, stamp_ns, data)

    def _write(self, topic: str, stamp_ns: int, data: bytes) -> None:
        if self.broken:
            self.lost += 1
            return
        try:
            allowed = self._change(topic, self._types[topic], data)
            if allowed is None:
                self.lost += 1
                return
            with self._changed:
                self._bag.write(topic, stamp_ns, allowed)
            self.written[topic] += 1
        except Exception as error:  # of the disk or of the change: the thread must not end silently
            self.lost += 1
            self.broken = f"recording stopped: {error}; what was recorded before can be read"
            self._failed(self.broken)

    def close(self) -> None:
        """Write the queue, the index and metadata.yaml."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(10.0)
        with self._changed:  # what could not be written in time is lost, and counted
            self.lost += len(self._queue)
            self._queue.clear()
        self._thread.join(10.0)
        try:
            self._bag.close()
        except BagError as error:
            self._failed(str(error))
