"""What a fault may leave behind: memory, files, threads and shared memory of processes, from /proc and /dev/shm."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from camera_perception.core.shared_memory import SHM
from camera_perception.tools.bench.report import Table
from camera_perception_ros.bench.endpoints.process_stats import memory_mb

SEGMENT = re.compile(r"fast(?:rtps|dds)_[0-9a-f]{16}_el")  # ports are opened by whoever sends to them
HEAD = (
    "fault", "rounds", "recovered", "slowest, s", "lost", "left in /dev/shm", "RSS, MB", "files", "threads", "remark",
)  # fmt: skip
NOTE = (
    "Recovered: the node works again after the fault; slowest: seconds until then. Lost: for requests, those without "
    "an answer; for images, those neither answered nor replaced by a newer one. RSS, open files and threads: growth, "
    "of the node under test or, where that is killed, of the camera node that lives through all faults."
)


@dataclass(frozen=True)
class Held:
    """What a process holds: memory in MB, open files, threads; nan and 0 when it has ended."""

    rss_mb: float
    files: int
    threads: int

    @staticmethod
    def by(pid: int) -> Held:
        try:
            files, threads = (len(os.listdir(f"/proc/{pid}/{kind}")) for kind in ("fd", "task"))
        except OSError:
            return Held(float("nan"), 0, 0)
        return Held(memory_mb(pid), files, threads)

    def since(self, before: Held) -> Held:
        """Growth since then."""
        return Held(self.rss_mb - before.rss_mb, self.files - before.files, self.threads - before.threads)

    def most(self, other: Held) -> Held:
        """The larger of two growths."""
        return Held(max(self.rss_mb, other.rss_mb), max(self.files, other.files), max(self.threads, other.threads))


@dataclass(frozen=True)
class Outcome:
    """One row of the table of faults.

    recovered  rounds after which the node worked again
    slowest    seconds from the fault, or from the next start, until then
    lost       see NOTE
    left       files of dead processes in /dev/shm
    """

    fault: str
    rounds: int
    recovered: int
    slowest: float
    lost: int
    left: int
    grown: Held
    remark: str = ""

    def __add__(self, other: Outcome) -> Outcome:
        """Two runs of one fault as one; of the growths, the larger one."""
        remarks = dict.fromkeys(text for text in (self.remark, other.remark) if text)
        return Outcome(
            self.fault,
            self.rounds + other.rounds,
            self.recovered + other.recovered,
            max(self.slowest, other.slowest),
            self.lost + other.lost,
            self.left + other.left,
            self.grown.most(other.grown),
            "; ".join(remarks),
        )

    @property
    def bad(self) -> bool:
        """Whether a round was not survived, or something is left."""
        return self.recovered < self.rounds or self.left > 0

    def row(self) -> tuple[str | int | float, ...]:
        held = (f"{self.grown.rss_mb:+.1f}", f"{self.grown.files:+d}", f"{self.grown.threads:+d}")
        return (
            self.fault, self.rounds, self.recovered, round(self.slowest, 1), self.lost, self.left, *held, self.remark,
        )  # fmt: skip

    def line(self) -> str:
        """The row as one line of text."""
        return ", ".join(f"{name} {value}" for name, value in zip(HEAD, self.row()) if value != "")


def faults_table(outcomes: list[Outcome]) -> Table:
    return Table("Faults", HEAD, [outcome.row() for outcome in outcomes], NOTE)


def segments(pid: int, folder: Path = SHM) -> set[str]:
    """Names of the shared memory that a process created: it keeps its lock files open."""
    try:
        used = [Path(os.path.realpath(link)) for link in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return set()
    return {path.name.removesuffix("_el") for path in used if path.parent == folder and SEGMENT.fullmatch(path.name)}


def left_behind(created: set[str], folder: Path = SHM) -> int:
    """Number of files of these names that still exist, of processes that are dead."""
    return sum((folder / name).exists() for name in created)
