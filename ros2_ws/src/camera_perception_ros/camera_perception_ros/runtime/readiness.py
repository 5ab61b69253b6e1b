"""Whether camera nodes are ready for images, and how many they have answered: what they say on /diagnostics."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from diagnostic_msgs.msg import DiagnosticArray

INPUT = ": Input"  # the status of a camera node that counts


class Answers:
    """What camera nodes said last; fed and asked from any thread.

    cameras    fully qualified node names
    listeners  that each must have found: who is found later misses the answers before
    fusion     the same of a fusion node, which must have found one; empty: none is waited for
    """

    def __init__(
        self, cameras: Sequence[str], listeners: int, fusion: str = "", now: Callable[[], float] = time.monotonic
    ) -> None:
        self._said: dict[str, dict[str, str]] = {name: {} for name in (*cameras, *filter(None, [fusion]))}
        self._listeners, self._fusion, self._now = listeners, fusion, now
        self._changed = now()

    def take(self, message: DiagnosticArray) -> None:
        for status in message.status:
            name, said = status.name.removesuffix(INPUT), {pair.key: pair.value for pair in status.values}
            if status.name.endswith(INPUT) and name in self._said and said != self._said[name]:
                self._said[name], self._changed = said, self._now()

    @property
    def missing(self) -> str | None:
        """What the first camera that is not ready waits for; None when all are."""
        return next(filter(None, (self._missing(name, said) for name, said in self._said.items())), None)

    def _missing(self, name: str, said: dict[str, str]) -> str | None:
        if not said:
            return f"{name} says nothing on /diagnostics"
        if not {"lifecycle", "publishers", "listeners"} <= said.keys():
            return f"{name} is of a release that does not say whether it is ready: update it, or do not wait for it,"
        if said["lifecycle"] != "active":
            return f"{name} is {said['lifecycle']} and did not become active"
        if said["publishers"] == "0":
            return f"{name} has not found who publishes its images"
        found, wanted = int(said["listeners"]), 1 if name == self._fusion else self._listeners
        return f"{name} has found {found} of {wanted} listeners" if found < wanted else None

    @property
    def accounted(self) -> int:
        """Images that were answered, or replaced by newer ones."""
        return sum(int(said.get(count, 0)) for said in self._said.values() for count in ("processed", "replaced"))

    @property
    def quiet(self) -> float:
        """Seconds since a camera said something new."""
        return self._now() - self._changed
