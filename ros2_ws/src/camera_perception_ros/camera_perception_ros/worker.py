"""The thread that does the work of one camera: it takes the latest item, one at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from camera_perception_ros.slot import LatestSlot, Taken

T = TypeVar("T")


class Worker(Generic[T]):
    """Calls work for each item taken from its slot until closed. An exception goes to failed and ends nothing."""

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
        """Finish what is in the slot; False when that takes longer than timeout seconds: the thread is left."""
        self.slot.close()
        self._thread.join(timeout)
        return not self._thread.is_alive()
