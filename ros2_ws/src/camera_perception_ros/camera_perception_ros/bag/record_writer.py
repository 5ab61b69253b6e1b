"""The writer thread of the recorder: serialized messages to mcap files that `ros2 bag` reads."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from camera_perception.core.errors import BagError
from camera_perception.io.bag_writer import BagWriter
from camera_perception.io.ros_types import typestore
from camera_perception_ros.conversions.serialized import register

Change = Callable[[str, str, bytes], "bytes | None"]
FLUSH_SECONDS = 0.5  # between a message and its write to the file: what a crash can lose


def unchanged(topic: str, type_: str, data: bytes) -> bytes | None:
    return data


class RecordWriter:
    """Accepts (topic, time, bytes) from any thread and writes them in a thread of its own.

    bag          is written by this object only, and closed by it
    limit_bytes  of messages that wait for the disk
    failed       called once with one line when the disk fails; the rest is counted as lost
    change       called in the thread with topic, type and bytes; returns the bytes to record, or None to drop the
                 message
    min_free     bytes; with less free space on the disk recording stops as if the disk had failed
    """

    def __init__(
        self,
        bag: BagWriter,
        limit_bytes: int,
        failed: Callable[[str], None],
        change: Change = unchanged,
        min_free: int = 0,
    ) -> None:
        self._bag, self._limit, self._failed, self._change = bag, limit_bytes, failed, change
        self._min_free = min_free
        self._types: dict[str, str] = {}
        self._queue: deque[tuple[str, int, bytes]] = deque()
        self._queued_bytes = 0
        self._changed = threading.Condition()
        self._bag_lock = threading.Lock()  # apart from the queue's: whoever receives never waits for the disk
        self._flush_at: float | None = None
        self._closing = False
        self._rejected = 0
        self.broken = ""
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    @property
    def written(self) -> Counter[str]:
        """Messages per topic that can be read from the disk."""
        with self._bag_lock:
            return self._bag.counts

    @property
    def lost(self) -> int:
        """Messages that were put here and will not be on the disk."""
        return self._rejected + self._bag.dropped

    def add_topic(self, topic: str, type_: str, qos: Sequence[Any] = ()) -> None:
        """Announce a topic before its first message; type_ is like sensor_msgs/msg/Image, qos as in `BagWriter`."""
        register(typestore(), type_)
        with self._bag_lock:
            self._bag.add_topic(topic, type_, qos=qos or None)
            self._types[topic] = type_

    def put(self, topic: str, stamp_ns: int, data: bytes) -> None:
        """Queue a message; it is lost when the disk has failed or the queue exceeds `limit_bytes`."""
        with self._changed:
            if self.broken or self._queued_bytes + len(data) > self._limit:
                self._rejected += 1
                return
            self._queue.append((topic, stamp_ns, data))
            self._queued_bytes += len(data)
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closing, timeout=self._seconds_to_flush())
                if not self._queue and self._closing:
                    return
                message = self._queue.popleft() if self._queue else None
                self._queued_bytes -= len(message[2]) if message else 0
            if message is not None:
                self._guarded(self._write, *message)
            if self._seconds_to_flush() == 0.0:
                self._guarded(self._flush)

    def _guarded(self, step: Callable[..., None], *arguments: Any) -> None:
        """Run a step of writing; after an error nothing more is written."""
        if self.broken:
            self._rejected += bool(arguments)
            return
        try:
            with self._bag_lock:
                step(*arguments)
        except Exception as error:  # of the disk or of the change: the thread must not end silently
            self.broken = f"recording stopped: {error}; what was recorded before can be read"
            self._failed(self.broken)

    def _write(self, topic: str, stamp_ns: int, data: bytes) -> None:
        try:
            allowed = self._change(topic, self._types[topic], data)
        except Exception:
            self._rejected += 1
            raise
        if allowed is None:
            self._rejected += 1
            return
        self._bag.write(topic, stamp_ns, allowed)
        if self._flush_at is None and self._bag.pending:
            self._flush_at = time.monotonic() + FLUSH_SECONDS

    def _seconds_to_flush(self) -> float | None:
        """None while nothing waits."""
        return None if self._flush_at is None else max(0.0, self._flush_at - time.monotonic())

    def _flush(self) -> None:
        self._flush_at = None
        self._bag.flush()
        check_room(self._bag.file, self._min_free)

    def close(self) -> None:
        """Write the queue, the index and metadata.yaml."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(10.0)
        with self._changed:  # what could not be written in time is lost, and counted
            self._rejected += len(self._queue)
            self._queue.clear()
        self._thread.join(10.0)
        try:
            self._bag.close()
        except BagError as error:
            self._failed(str(error))


def check_room(path: Path, min_free: int) -> None:
    """BagError when the disk of a path, which may not exist yet, has less than min_free bytes free."""
    folder = next(each for each in (path, *path.absolute().parents) if each.exists())
    free = shutil.disk_usage(folder).free
    if free < min_free:
        raise BagError(
            f"only {free >> 20} MiB are free on the disk of {path}: make room, or lower 'min_free_mib' "
            f"({min_free >> 20})"
        )
