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
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky

PER_ROUND = 50  # cases of one run of Hypothesis, which then starts with another seed
VARIATIONS = 30  # after each of them


class Worker:
    def __init__(self, door: Door, scratch: Path, seconds: float) -> None:
        self.door, self.folder, self.current = door, scratch / "folder", scratch / "current.bin"
        self.progress = scratch / "progress"
        self.stop = time.monotonic() + seconds
        self.counts = {"cases": 0, "good": 0, "refused": 0}
        self.known: dict[str, bytes] = {}  # place of a finding: the last case that showed it
        self.shown = time.monotonic()
        self.folder.mkdir(exist_ok=True)

    def run(self, first_seed: int) -> None:
        self.door.check(self.door.make(lambda low, high: low), self.folder)  # what is imported late counts as memory
        limit_memory()
        number = first_seed
        while time.monotonic() < self.stop:
            self.round(number)
            number += 1
        self.show()

    def round(self, number: int) -> None:
        before = set(self.known)

        @seed(number)
        @settings(
            max_examples=PER_ROUND,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
            print_blob=False,
            report_multiple_bugs=False,
        )
        @given(self.door.strategy, st.integers(0, 1 << 32))
        def one(case: bytes, number: int) -> None:
            self.one(case, before)
            rng = Random(number)
            for _ in range(VARIATIONS):
                self.one(random(self.door.make, rng), before)

        try:
            one()
        except (Finding, Flaky):
            for place in self.known.keys() - before:
                keep(self.door.name, self.known[place], place)

    def one(self, case: bytes, ignored: set[str]) -> None:
        if time.monotonic() > self.stop:
            return
        self.current.write_bytes(case)
        self.counts["cases"] += 1
        try:
            self.counts[self.door.check(case, self.folder)] += 1
        except Finding as finding:
            if finding.place not in ignored:
                self.known[finding.place] = case
                raise
        if time.monotonic() - self.shown > 1:
            self.show()

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
