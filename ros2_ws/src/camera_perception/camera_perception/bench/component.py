"""A piece of the pipeline and the obvious way to do the same, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from camera_perception.bench.rounds import in_turn
from camera_perception.bench.tables import Table


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
