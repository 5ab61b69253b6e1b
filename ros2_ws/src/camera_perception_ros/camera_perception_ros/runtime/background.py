"""Work in threads that can be abandoned: native code that never returns must not stop a node."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable, Generator
from typing import Generic, Protocol, TypeVar

from rclpy.task import Future

from camera_perception.core.errors import PerceptionError
from camera_perception_ros.runtime.process import Stopped

T = TypeVar("T")
MAX_ABANDONED = 3  # threads of a process that exceeded their time and still run, each with its memory and CPU
POLL = 0.05  # seconds between looks at the stop
LOOK = 0.002  # seconds between looks at a result, during which the executor does nothing else

_abandoned: list[threading.Thread] = []


class TooLate(PerceptionError):
    """Work in the background took longer than it may; its thread was abandoned."""


class Stoppable(Protocol):
    def __bool__(self) -> bool:
        """Whether to stop."""


class _Work(Generic[T]):
    """One piece of work in a thread. Its result goes to the caller, or to `late` once the caller has left."""

    def __init__(self, work: Callable[[], T], late: Callable[[T], object]) -> None:
        self._work, self._late, self._lock = work, late, threading.Lock()
        self._left = False
        self.done: list[T] = []
        self.failed: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name="loading", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            result = self._work()
        except BaseException as error:
            self.failed = error
            return
        with self._lock:
            if not self._left:
                self.done.append(result)
                return
        self._late(result)

    def leave(self) -> bool:
        """Stop waiting; False when there is a result already."""
        with self._lock:
            self._left = not self.done
            return self._left


def in_background(
    work: Callable[[], T],
    stop: Stoppable | None = None,
    seconds: float | None = None,
    late: Callable[[T], object] = lambda result: None,
) -> T:
    """Run work in a thread and return its result, or raise what it raises.

    stop     Stopped is raised as soon as it is true
    seconds  TooLate is raised after that time
    late     called in the abandoned thread with a result that comes after that
    """
    _refuse_more()
    started, running = time.monotonic(), _Work(work, late)
    while running.thread.is_alive():
        running.thread.join(POLL)
        if stop and running.leave():
            raise Stopped
        if seconds is not None and time.monotonic() - started > seconds and running.leave():
            _abandoned.append(running.thread)
            raise TooLate(f"it took longer than {seconds:g} s and was abandoned")
    if running.failed is not None:
        raise running.failed
    return running.done[0]


def _refuse_more() -> None:
    """Every abandoned thread may hold a model: their number is bounded."""
    _abandoned[:] = [thread for thread in _abandoned if thread.is_alive()]
    if len(_abandoned) >= MAX_ABANDONED:
        raise PerceptionError(
            f"{len(_abandoned)} earlier attempts never returned: restart the node to free their memory"
        )


def when_done(work: Callable[[], T]) -> Awaitable[T]:
    """Run work in a thread, to be awaited in callbacks that must not block the executor."""
    future: Future = Future()

    def target() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=target, name="waiting", daemon=True).start()
    return Result(future)


class Result(Awaitable[T]):
    """Awaits a future with a short pause before each look.

    The executor of rclpy asks a waiting callback again without any pause, which would take half of the interpreter from
    the work that is waited for.
    """

    def __init__(self, future: Future) -> None:
        self._future = future

    def __await__(self) -> Generator[None, None, T]:
        while not self._future.done():
            time.sleep(LOOK)
            yield
        result: T = self._future.result()
        return result
