"""Interleaved timing: candidates take turns, so that a slow moment of the machine slows all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter, perf_counter_ns, thread_time_ns

Candidates = Mapping[str, Callable[[], object]]


def time_in_turn(
    candidates: Candidates, seconds: float, rounds: int = 1000, warm_up: int = 2, cpu: bool = False
) -> dict[str, list[float]]:
    """Name: milliseconds of every round. Each round runs each candidate once; warm-up rounds are not counted.

    Ends after `rounds` or `seconds`, whichever comes first, but never before three rounds.
    cpu  count the CPU time of this thread instead: unaffected by other processes, blind to helper threads
    """
    clock = thread_time_ns if cpu else perf_counter_ns
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(warm_up):
        for run in candidates.values():
            run()
    stop = perf_counter() + seconds
    for number in range(rounds):
        if number >= 3 and perf_counter() > stop:
            break
        for name, run in candidates.items():
            started = clock()
            run()
            times[name].append((clock() - started) / 1e6)
    return times
