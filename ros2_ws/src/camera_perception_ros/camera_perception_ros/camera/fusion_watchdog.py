"""Detection of a fusion node that has stopped: a dead node cannot report itself, so a camera node does."""

from __future__ import annotations

import time
from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node

TIMEOUT = 3.5  # seconds; the fusion node reports every second


class FusionWatchdog:
    """Listens to the reports of a fusion node on /diagnostics.

    name  of the fusion node, fully qualified
    """

    def __init__(self, node: Node, name: str, now: Callable[[], float] = time.monotonic) -> None:
        self._node, self.name, self._now = node, name, now
        self._last_report = now()
        self._subscription = node.create_subscription(DiagnosticArray, "/diagnostics", self.on_diagnostics, 10)

    def on_diagnostics(self, message: DiagnosticArray) -> None:
        ours = [status for status in message.status if status.name.startswith(f"{self.name}: ")]
        # A fusion that cannot start reports its error alone, and is as good as dead; a running one has more to report.
        if any(status.level != DiagnosticStatus.ERROR for status in ours):
            self._last_report = self._now()

    @property
    def problem(self) -> str:
        """How long the fusion node has been silent and what to do; empty while it reports."""
        seconds = self._now() - self._last_report
        if seconds < TIMEOUT:
            return ""
        return f"{self.name} has been silent for {seconds:.0f} s: check its log, then start or activate it again"

    def close(self) -> None:
        self._node.destroy_subscription(self._subscription)
