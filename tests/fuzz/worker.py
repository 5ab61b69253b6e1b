"""Run cases through one door in a process of its own: what breaks it breaks nothing else.

Every case is on disk before it runs, in `current.bin` of the scratch folder; each line of `progress` there is the
counts so far as JSON.
"""

from __future__ import annotations

import json
import os
import resource
import time
from hashlib import sha256
from pathlib import Path
from random import Random

from cases import random
from door import FINDINGS, MOST_BYTES, Door, Finding
from doors import DOORS

SHRINKING = 10.0  # seconds for one finding


class Worker:
    """Draws cases from a seeded generator, many times as fast as Hypothesis, which the tests use."""

    def __init__(self, door: Door, scratch: Path, seconds: float) -> None:
        self.door, self.folder, self.current = door, scratch / "folder", scratch / "current.bin"
        self.progress = scratch / "progress"
        self.stop = time.monotonic() + seconds
        self.counts = {"cases": 0, "good": 0, "refused": 0}
        self.known: set[str] = set()  # places of findings
        self.shown = time.monotonic()
        self.folder.mkdir(exist_ok=True)

    def run(self, seed: int) -> None:
        limit_memory()
        rng = Random(seed)
        while time.monotonic() < self.stop:
            case = random(self.door.make, rng)
            self.counts["cases"] += 1
            outcome, place = self.one(case)
            if outcome:
                self.counts[outcome] += 1
            elif place not in self.known:
                self.known.add(place)
                keep(self.door.name, self.shrunk(case, place), place)
            if time.monotonic() - self.shown > 1:
                self.show()
        self.show()

    def one(self, case: bytes) -> tuple[str, str]:
        """What came of a case and "", or "" and the place of the finding."""
        self.current.write_bytes(case)
        try:
            return self.door.check(case, self.folder), ""
        except Finding as finding:
            return "", finding.place

    def shrunk(self, case: bytes, place: str) -> bytes:
        """The case without blocks that the finding does not need, ever smaller ones."""
        stop, size = time.monotonic() + SHRINKING, len(case) // 2
        while size and time.monotonic() < stop:
            at = 0
            while at < len(case) and time.monotonic() < stop:
                shorter = case[:at] + case[at + size :]
                if self.one(shorter)[1] == place:
                    case = shorter
                else:
                    at += size
                self.show()
            size //= 2
        return case

    def show(self) -> None:
        self.shown = time.monotonic()
        with self.progress.open("a") as stream:
            stream.write(json.dumps({**self.counts, "findings": len(self.known)}) + "\n")


def limit_memory() -> None:
    """MemoryError, or the end of the process, for a case that needs more than MOST_BYTES."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MOST_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def keep(name: str, case: bytes, place: str) -> Path:
    """Store a finding as a test: NAME/HASH.bin, and what it did in NAME/HASH.txt."""
    path = FINDINGS / name / f"{sha256(case).hexdigest()[:12]}.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(case)
    path.with_suffix(".txt").write_text(place + "\n", "utf-8")
    return path


def work(name: str, scratch: Path, seconds: float, first_seed: int) -> None:
    """The whole life of the process; what native libraries print goes to a file."""
    os.dup2(os.open(scratch / "errors", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    Worker(DOORS[name], scratch, seconds).run(first_seed)
