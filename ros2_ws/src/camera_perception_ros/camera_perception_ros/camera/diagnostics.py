"""What a camera node says about itself on /diagnostics (REP 107): pure functions from numbers to statuses."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from camera_perception.core.types import Status
from camera_perception.core.types import flag_names as status_names

OK, WARN, ERROR, STALE = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR, DiagnosticStatus.STALE

# Flags that leave the output usable but deserve a look; the others are worse.
ONLY_WARN = (
    Status.DROPPING | Status.UNCALIBRATED | Status.TF_MISSING | Status.CPU_FALLBACK | Status.THERMAL
    | Status.RESOLUTION_CHANGED | Status.IMAGE_BLURRED | Status.IMAGE_OVEREXPOSED | Status.CALIBRATION_DRIFT
)  # fmt: skip


@dataclass
class Counts:
    """What happened since activation, and in the period since the last report."""

    processed: int = 0
    failed: int = 0
    flags: Status = Status(0)
    ages_ms: deque[float] = field(default_factory=lambda: deque(maxlen=300))
    inference_ms: deque[float] = field(default_factory=lambda: deque(maxlen=300))

    def take_flags(self) -> Status:
        """The flags seen since the last call."""
        flags, self.flags = self.flags, Status(0)
        return flags


def status(name: str, level: bytes, message: str, hardware_id: str, values: Mapping[str, object]) -> DiagnosticStatus:
    pairs = [
        KeyValue(key=key, value=f"{value:.3g}" if isinstance(value, float) else str(value))
        for key, value in values.items()
    ]
    return DiagnosticStatus(name=name, level=level, message=message, hardware_id=hardware_id, values=pairs)


def array_of(stamp: Time, statuses: list[DiagnosticStatus]) -> DiagnosticArray:
    message = DiagnosticArray(status=statuses)
    message.header.stamp = stamp
    return message


def level_of(flags: Status) -> bytes:
    """OK without flags, WARN for those that leave the output usable, ERROR else."""
    if not flags:
        return OK
    return ERROR if flags & ~ONLY_WARN else WARN


def flag_names(flags: Status) -> str:
    """Flags as words: "image dark, uncalibrated"."""
    return ", ".join(status_names(flags)).lower().replace("_", " ") or "ok"


def percentile(values: deque[float], share: float) -> float:
    """The value that `share` of all values do not exceed; nan without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")
