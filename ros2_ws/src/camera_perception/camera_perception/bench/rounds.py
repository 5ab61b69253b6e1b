"""Timing of several things in turn, so that what slows the machine for a while slows all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter, perf_counter_ns, thread_time_ns

Things = Mapping[str, Callable[[], object]]


def in_turn(
    things: Things, seconds: float, rounds: int = 1000, warm_up: int = 2, cpu: bool = False
) -> dict[str, list[float]]:
    """Name: milliseconds of every round. Each round runs each thing once; the first rounds are not counted.

    Ends after `rounds` or `seconds`, whichever comes first, but never before three rounds.
    cpu  count the computing time of this thread instead: what other processes do then does not matter, and what other
         threads do for us is missing
    """
    clock = thread_time_ns if cpu else perf_counter_ns
    times: dict[str, list[float]] = {name: [] for name in things}
    for _ in range(warm_up):
        for thing in things.values():
            thing()
    stop = perf_counter() + seconds
    for number in range(rounds):
        if number >= 3 and perf_counter() > stop:
            break
        for name, thing in things.items():
            started = clock()
            thing()
            times[name].append((clock() - started) / 1e6)
    return times
