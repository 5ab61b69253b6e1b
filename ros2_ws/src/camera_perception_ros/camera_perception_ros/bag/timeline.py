"""When a recorded message is due: recording time mapped to a monotonic clock, with rate, pause and loop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Timeline:
    """Maps nanoseconds of a recording to nanoseconds of a monotonic clock. Thread-safe."""

    def __init__(self, rate: float, now: Callable[[], int] = time.monotonic_ns) -> None:
        self._rate, self._now = rate, now
        self._lock = threading.Condition()
        self._bag_base = self._clock_base = 0
        self._paused_at: int | None = None

    def start(self, bag_ns: int) -> None:
        """Map the recording time bag_ns to the current time."""
        with self._lock:
            self._bag_base, self._clock_base = bag_ns, self._now()
            if self._paused_at is not None:
                self._paused_at = self._clock_base

    def due(self, bag_ns: int) -> int:
        """Clock time in nanoseconds at which bag_ns is due."""
        return self._clock_base + round((bag_ns - self._bag_base) / self._rate)

    def bag_now(self) -> int:
        """The current recording time; constant while paused."""
        now = self._now() if self._paused_at is None else self._paused_at
        return self._bag_base + round((now - self._clock_base) * self._rate)

    def pause(self, paused: bool) -> None:
        with self._lock:
            if paused and self._paused_at is None:
                self._paused_at = self._now()
            elif not paused and self._paused_at is not None:
                self._clock_base += self._now() - self._paused_at
                self._paused_at = None
            self._lock.notify_all()

    @property
    def paused(self) -> bool:
        return self._paused_at is not None

    def wait_until(self, bag_ns: int, stop: Callable[[], bool], longest: float = 0.1) -> bool:
        """Sleep until bag_ns is due, at most `longest` seconds; True when it is due and not paused."""
        with self._lock:
            if self.paused:
                self._lock.wait(longest)
                return False
            remaining = (self.due(bag_ns) - self._now()) / 1e9
            if remaining > 0 and not stop():
                self._lock.wait(min(remaining, longest))
            return not self.paused and self._now() >= self.due(bag_ns)
