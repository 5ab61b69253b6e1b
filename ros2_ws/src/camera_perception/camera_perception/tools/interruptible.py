"""Run long native work under a progress bar that Ctrl-C can stop."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

T = TypeVar("T")
EXIT_INTERRUPTED = 130  # exit code of a program ended by Ctrl-C
PATIENCE = 0.2  # seconds between looks for signals


def run_with_progress_bar(work: Callable[[Callable[[str, float], bool]], T]) -> T:
    """Return the result of `work`, or raise what it raises.

    work  called with a callback that takes a phase name and a fraction 0..1 and returns whether to continue

    It runs in a thread of its own: Python handles Ctrl-C in the main thread only, which native code would block for
    minutes. The first Ctrl-C asks the work to stop, the second ends the process at once.
    """
    from tqdm import tqdm

    stop = threading.Event()
    with tqdm(total=100, unit="%", bar_format="{desc:.40} {bar} {n:.0f}% {elapsed}", disable=None) as bar:

        def progress(phase: str, fraction: float) -> bool:
            bar.set_description_str(phase, refresh=False)
            bar.update(100 * fraction - bar.n)
            return not stop.is_set()

        def on_signal(number: int, frame: Any) -> None:
            if stop.is_set():
                os._exit(EXIT_INTERRUPTED)  # a thread inside native code would delay any other exit
            stop.set()
            bar.write("Stopping at the next step; press Ctrl-C again to exit immediately.", file=sys.stderr)

        before = signal.signal(signal.SIGINT, on_signal)
        try:
            done = _in_thread(lambda: work(progress))
            while not done.done():  # a signal that came just before a wait without end would be noticed after it
                wait([done], timeout=PATIENCE)
            return done.result()
        finally:
            signal.signal(signal.SIGINT, before)


def _in_thread(work: Callable[[], T]) -> Future[T]:
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, name="work", daemon=True).start()
    return done
