"""A piece of the pipeline and the obvious way to do the same, side by side.

Timing of several things in turn, so that what slows the machine for a while slows all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter, perf_counter_ns, thread_time_ns
from typing import Any

import numpy as np
from tqdm import tqdm

from camera_perception.tools.bench.report import Table

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


@dataclass(frozen=True)
class Component:
    """ours and obvious take nothing and do the same work; `way` says in a few words what the obvious way is."""

    name: str
    ours: Callable[[], object]
    way: str
    obvious: Callable[[], object]


def measure(components: Sequence[Component], seconds: float) -> list[dict[str, Any]]:
    """Median computing milliseconds of both ways, which take turns, and their ratio. seconds is for each component."""
    results = []
    for component in tqdm(components, desc="components", unit="", disable=None):
        times = in_turn({"ours": component.ours, "obvious": component.obvious}, seconds, cpu=True)
        ours, obvious = (float(np.median(times[name])) for name in ("ours", "obvious"))
        results.append(
            {
                "name": component.name,
                "ours_ms": ours,
                "obvious_ms": obvious,
                "ratio": ours / obvious,
                "way": component.way,
            }
        )
    return results


def components_table(results: Sequence[dict[str, Any]]) -> Table:
    rows = [(r["name"], r["ours_ms"], r["obvious_ms"], r["ratio"], r["way"]) for r in results]
    return Table(
        "Components against the obvious way",
        ("component", "ours ms", "obvious ms", "ratio", "the obvious way"),
        rows,
        "Computing time of one thread, medians of runs that took turns; 1280x720 unless said otherwise.",
    )
