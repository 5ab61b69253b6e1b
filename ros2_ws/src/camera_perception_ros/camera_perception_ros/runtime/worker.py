"""A worker thread that always processes the latest item; items it has no time for are replaced and counted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Taken(Generic[T]):
    """An item with its place in the stream.

    seq       items put before this one since the slot was made
    replaced  items replaced unprocessed since the previous take
    """

    item: T
    seq: int
    replaced: int


class LatestSlot(Generic[T]):
    """A queue of length one. put() never waits; take() waits for the next item."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: T | None = None
        self._closed = False
        self._replaced = 0
        self.received = 0
        self.replaced = 0

    def put(self, item: T) -> None:
        with self._changed:
            if self._item is not None:
                self._replaced += 1
                self.replaced += 1
            self._item = item
            self.received += 1
            self._changed.notify()

    def take(self, timeout: float | None = None) -> Taken[T] | None:
        """The latest item, or None after the timeout in seconds, or when the slot is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._closed, timeout)
            if self._item is None:
                return None
            taken = Taken(self._item, self.received - 1, self._replaced)
            self._item, self._replaced = None, 0
            return taken

    def close(self) -> None:
        """Accept the end of the stream: take() returns what is left, then None."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        return self._closed


class Worker(Generic[T]):
    """Calls work for each item taken from its slot until closed. An exception is passed to failed and ends nothing."""

    def __init__(self, work: Callable[[Taken[T]], None], failed: Callable[[Exception], None], name: str) -> None:
        self.slot: LatestSlot[T] = LatestSlot()
        self._work, self._failed = work, failed
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (taken := self.slot.take()) is not None:
            try:
                self._work(taken)
            except Exception as error:
                self._failed(error)

    def close(self, timeout: float) -> bool:
        """Finish the item in the slot; False, and the thread is abandoned, if that takes more than timeout seconds."""
        self.slot.close()
        self._thread.join(timeout)
        return not self._thread.is_alive()
