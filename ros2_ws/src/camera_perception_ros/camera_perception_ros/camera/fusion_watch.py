"""A camera's eye on the fusion: a node that died cannot say so itself."""

from __future__ import annotations

import time
from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node

SILENT = 3.5  # seconds; it reports every second


class FusionWatch:
    """Listens to what a fusion node says on /diagnostics, while it exists.

    name  fully qualified, of the fusion node
    """

    def __init__(self, node: Node, name: str, now: Callable[[], float] = time.monotonic) -> None:
        self._node, self.name, self._now = node, name, now
        self._heard = now()
        self._subscription = node.create_subscription(DiagnosticArray, "/diagnostics", self.take, 10)

    def take(self, message: DiagnosticArray) -> None:
        if any(status.name.startswith(f"{self.name}: ") for status in message.status):
            self._heard = self._now()

    @property
    def why_silent(self) -> str:
        """What to do about a fusion that says nothing; empty while it does."""
        seconds = self._now() - self._heard
        if seconds < SILENT:
            return ""
        return f"{self.name} has been silent for {seconds:.0f} s: start or activate it again, its log says why it ended"

    def close(self) -> None:
        self._node.destroy_subscription(self._subscription)
