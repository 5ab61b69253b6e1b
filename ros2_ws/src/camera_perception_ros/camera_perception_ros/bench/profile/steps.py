"""Cost of each step of a frame: CPU time, function calls and memory, without what is measured under another step."""

from __future__ import annotations

import sys
import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from time import thread_time_ns
from types import FrameType
from typing import Any

REST = "the rest"

Step = tuple[str, str, str]  # name of the step, module, function or Class.method of the module


class Costs:
    """Costs by step, of the frames run inside `measured`.

    milliseconds  step -> CPU time of this thread for each frame
    calls         step -> function calls of all frames, those of C functions included where the interpreter sees them
    kilobytes     step -> memory that the step holds at most beyond what it began with, for each time that it ran
    """

    def __init__(self) -> None:
        self.milliseconds: dict[str, list[float]] = defaultdict(list)
        self.calls: Counter[str] = Counter()
        self.kilobytes: dict[str, list[float]] = defaultdict(list)
        self._open = [REST]
        self._spent: dict[str, int] = defaultdict(int)
        self._since = 0
        self.clock: Callable[[], int] = thread_time_ns

    def frame(self, run: Callable[[], object]) -> None:
        """Run one frame and note what each step took."""
        self._spent.clear()
        self._since = self.clock()
        run()
        self._switch()
        for step, nanoseconds in self._spent.items():
            self.milliseconds[step].append(nanoseconds / 1e6)

    def _switch(self) -> None:
        now = self.clock()
        self._spent[self._open[-1]] += now - self._since
        self._since = now

    def begin(self, step: str) -> int | None:
        """Count what is done from now on under this step; returns the bytes it begins with while memory is traced."""
        self._switch()
        self._open.append(step)
        return _traced()

    def end(self, before: int | None) -> None:
        """Back to the step before; `before` is what `begin` has returned."""
        self._switch()
        step = self._open.pop()
        if before is not None:
            self.kilobytes[step].append((tracemalloc.get_traced_memory()[1] - before) / 1024)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count function calls meanwhile."""

        def on_event(frame: FrameType, event: str, argument: Any) -> None:
            if event in ("call", "c_call") and frame.f_code.co_filename != __file__:
                self.calls[self._open[-1]] += 1

        sys.setprofile(on_event)
        try:
            yield
        finally:
            sys.setprofile(None)


def _traced() -> int | None:
    """Bytes allocated now, from which the peak is counted; None while memory is not traced."""
    if not tracemalloc.is_tracing():
        return None
    tracemalloc.reset_peak()
    return tracemalloc.get_traced_memory()[0]


@contextmanager
def measured(steps: Sequence[Step]) -> Iterator[Costs]:
    """Costs of these functions, which are replaced meanwhile by ones that measure."""
    costs, before = Costs(), []
    try:
        for step, module, path in steps:
            holder: Any = import_module(module)
            *classes, name = path.split(".")
            for each in classes:
                holder = getattr(holder, each)
            before.append((holder, name, getattr(holder, name)))
            setattr(holder, name, _measuring(before[-1][2], costs, step))
        yield costs
    finally:
        for holder, name, function in reversed(before):
            setattr(holder, name, function)


def _measuring(function: Callable[..., Any], costs: Costs, step: str) -> Callable[..., Any]:
    def run(*arguments: Any, **options: Any) -> Any:
        before = costs.begin(step)
        try:
            return function(*arguments, **options)
        finally:
            costs.end(before)

    return run


def merged(costs: Mapping[str, Sequence[float]], value: Callable[[Sequence[float]], float]) -> dict[str, float]:
    """One value per step."""
    return {step: float(value(values)) for step, values in costs.items()}
