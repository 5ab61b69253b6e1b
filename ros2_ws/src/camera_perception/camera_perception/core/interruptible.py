"""A long piece of work under a progress bar that Ctrl-C stops, wherever the work is."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")
LEFT = 130  # exit code of a program that Ctrl-C ended


def under_a_bar(work: Callable[[Callable[[str, float], bool]], T]) -> T:
    """The result of work, or what it raises; work gets a callback for phase and share 0..1 that says whether to go on.

    It runs in a thread of its own: Python takes Ctrl-C in the main thread only, which native code would hold for
    minutes. The first Ctrl-C asks the work to stop, the second ends the process at once.
    """
    from tqdm import tqdm

    stop = threading.Event()
    with tqdm(total=100, unit="%", bar_format="{desc:.40} {bar} {n:.0f}% {elapsed}") as bar:

        def progress(phase: str, share: float) -> bool:
            bar.set_description_str(phase, refresh=False)
            bar.update(100 * share - bar.n)
            return not stop.is_set()

        def on_signal(number: int, frame: Any) -> None:
            if stop.is_set():
                os._exit(LEFT)  # a thread inside native code would hold up any other end
            stop.set()
            bar.write("stopping at the next step; Ctrl-C once more leaves at once", file=sys.stderr)

        before = signal.signal(signal.SIGINT, on_signal)
        try:
            return _in_thread(lambda: work(progress)).result()
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
