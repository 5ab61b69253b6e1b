"""Memory and CPU time of processes, from /proc."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from camera_perception.tools.bench.statistics import slope_per_minute

PAGE = os.sysconf("SC_PAGE_SIZE")


def memory_mb(pid: int) -> float:
    """Resident memory; nan when the process has ended."""
    return _pages(pid)[0]


def own_memory_mb(pid: int) -> float:
    """Resident memory without files and shared memory, which other processes fill, too; nan when it has ended."""
    resident, shared = _pages(pid)
    return resident - shared


def _pages(pid: int) -> tuple[float, float]:
    """Resident memory, and how much of it are files and shared memory, in MB."""
    try:
        resident, shared = Path(f"/proc/{pid}/statm").read_text().split()[1:3]
    except (OSError, ValueError):
        return float("nan"), float("nan")
    return int(resident) * PAGE / 1e6, int(shared) * PAGE / 1e6


def computing_ms(pid: int) -> float:
    """CPU time of all threads of a process; nan when it has ended."""
    try:
        return sum(int(file.read_text().split()[0]) for file in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e6
    except (OSError, IndexError):
        return float("nan")


@dataclass
class Samples:
    """Memory of one process over time."""

    pid: int
    every: float = 0.5  # seconds
    seconds: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)

    def take(self) -> None:
        """Take a sample if the last one is older than `every`."""
        now = time.monotonic()
        if not self.seconds or now - self.seconds[-1] >= self.every:
            self.seconds.append(now)
            self.megabytes.append(memory_mb(self.pid))

    def metrics(self) -> dict[str, float]:
        """First and last value, and the slope without the first quarter, in which buffers fill."""
        skip = len(self.seconds) // 4
        return {
            "first_mb": self.megabytes[0],
            "last_mb": self.megabytes[-1],
            "mb_per_minute": slope_per_minute(self.seconds[skip:], self.megabytes[skip:]),
            "seconds": self.seconds[-1] - self.seconds[0],
        }
