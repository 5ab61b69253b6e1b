"""Helpers for diagnostics (REP 107): counters, levels and status messages, as pure functions."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from camera_perception.core.documents.text import shorten
from camera_perception.core.types import Status
from camera_perception.core.types import flag_names as status_names

REPORT_PERIOD = 1.0  # seconds between two reports of a node
OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR

# Flags with which the output is still usable; all others are errors.
ONLY_WARN = (
    Status.DROPPING | Status.UNCALIBRATED | Status.TF_MISSING | Status.CPU_FALLBACK | Status.THERMAL
    | Status.RESOLUTION_CHANGED | Status.IMAGE_BLURRED | Status.IMAGE_OVEREXPOSED | Status.CALIBRATION_DRIFT
)  # fmt: skip


@dataclass
class Counts:
    """Counts since configuration; clock_problem explains the latest STAMP_AHEAD.

    flags  bits of Status since the last report
    """

    processed: int = 0
    failed: int = 0
    flags: int = 0
    clock_problem: str = ""
    ages_ms: deque[float] = field(default_factory=lambda: deque(maxlen=300))
    inference_ms: deque[float] = field(default_factory=lambda: deque(maxlen=300))

    def take_flags(self) -> Status:
        """Flags of the frames since the last call."""
        flags, self.flags = Status(self.flags), 0
        return flags


def status(name: str, level: bytes, message: str, hardware_id: str, values: Mapping[str, object]) -> DiagnosticStatus:
    pairs = [
        KeyValue(key=key, value=f"{value:.3g}" if isinstance(value, float) else str(value))
        for key, value in values.items()
    ]
    message = shorten(message)
    return DiagnosticStatus(name=name, level=level, message=message, hardware_id=hardware_id, values=pairs)


def array_of(stamp: Time, statuses: list[DiagnosticStatus]) -> DiagnosticArray:
    message = DiagnosticArray(status=statuses)
    message.header.stamp = stamp
    return message


def level_of(flags: Status) -> bytes:
    """OK without flags, WARN when the output is still usable, ERROR otherwise; a camera may move all the time."""
    flags &= ~Status.MOUNTING_CHANGED
    level: bytes = OK if not flags else ERROR if flags & ~ONLY_WARN else WARN
    return level


def flag_names(flags: Status) -> str:
    """Flags as text, such as "image dark, uncalibrated"; "ok" without flags."""
    return ", ".join(status_names(flags)).lower().replace("_", " ") or "ok"


def percentile(values: deque[float], fraction: float) -> float:
    """The value that this fraction of all values does not exceed; nan without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))] if ordered else float("nan")
