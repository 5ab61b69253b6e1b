"""Readiness of camera nodes and the number of images they have handled, from their reports on /diagnostics."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from diagnostic_msgs.msg import DiagnosticArray

INPUT = ": Input"  # suffix of the status that holds the counts


class NodeReadiness:
    """The latest reports of camera nodes and of a fusion node. Thread-safe.

    cameras    fully qualified node names
    listeners  that each camera must have discovered: one that is discovered later misses the first answers
    fusion     name of a fusion node that must have discovered one listener; empty: none
    """

    def __init__(
        self, cameras: Sequence[str], listeners: int, fusion: str = "", now: Callable[[], float] = time.monotonic
    ) -> None:
        self._reports: dict[str, dict[str, str]] = {name: {} for name in (*cameras, *filter(None, [fusion]))}
        self._listeners, self._fusion, self._now = listeners, fusion, now
        self._changed = now()

    def on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            name, report = status.name.removesuffix(INPUT), {pair.key: pair.value for pair in status.values}
            if status.name.endswith(INPUT) and name in self._reports and report != self._reports[name]:
                self._reports[name], self._changed = report, self._now()

    @property
    def missing(self) -> str | None:
        """What the first node that is not ready waits for; None when all are ready."""
        return next(filter(None, (self._missing(name, report) for name, report in self._reports.items())), None)

    def _missing(self, name: str, report: dict[str, str]) -> str | None:
        if not report:
            return f"{name} sent no report on /diagnostics"
        if not {"lifecycle", "publishers", "listeners"} <= report.keys():
            return (
                f"{name} is of an older release that does not report its readiness: update it, or do not wait for it,"
            )
        if report["lifecycle"] != "active":
            return f"{name} is {report['lifecycle']} and did not become active"
        if report["publishers"] == "0":
            return f"{name} has not discovered a publisher of its images"
        found, wanted = int(report["listeners"]), 1 if name == self._fusion else self._listeners
        return f"{name} has discovered {found} of {wanted} listeners" if found < wanted else None

    @property
    def handled(self) -> int:
        """Number of images that were processed, or replaced by newer ones."""
        return sum(
            int(report.get(count, 0)) for report in self._reports.values() for count in ("processed", "replaced")
        )

    @property
    def unchanged_for(self) -> float:
        """Seconds since a report changed."""
        return self._now() - self._changed
