"""Units in worker processes of this machine. A worker that dies or hangs is replaced; its unit is tried again once."""

from __future__ import annotations

import multiprocessing as mp
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from camera_perception.tools.fleet.work.perform import PASSING, Performer, failure
from camera_perception.tools.fleet.work.units import Job, Unit

TRIES = 2  # of a unit whose worker dies
POLL = 0.5  # seconds
START_SECONDS = 600.0  # that a worker may take to open its engine
READY = "ready"  # what a worker sends once its engine is open: from then on the deadline counts


@dataclass(frozen=True)
class Outcome:
    """What became of a unit.

    row    of `runs`; None when it was not done and has to be done again
    error  why it was not done
    """

    unit: Unit
    row: dict[str, Any] | None
    error: str = ""


class Units(Protocol):
    """Where pools take units from: those that are still to be done."""

    def __next__(self) -> Unit: ...

    def __iter__(self) -> Iterator[Unit]: ...


def run_local(units: Iterator[Unit], job: Job, out: str, workers: int, deadline: float) -> Iterator[Outcome]:
    """Outcomes in the order in which units end.

    deadline  seconds after which a unit counts as hanging; its worker is killed
    """
    pool, tries = [_Worker(job, out) for _ in range(workers)], Counter[str]()
    waiting: list[Unit] = []
    try:
        while True:
            for worker in pool:
                if worker.unit is None and (unit := waiting.pop() if waiting else next(units, None)):
                    worker.start(unit)
            busy = [worker for worker in pool if worker.unit]
            if not busy:
                return
            wait([worker.pipe for worker in busy] + [worker.process.sentinel for worker in busy], POLL)
            for worker in busy:
                outcome = worker.poll(deadline)
                if outcome is None:
                    continue
                tries[outcome.unit.key] += 1
                if outcome.error.startswith(DIED) and tries[outcome.unit.key] < TRIES:
                    waiting.append(outcome.unit)
                    continue
                yield given_up(outcome)
    finally:
        for worker in pool:
            worker.close()


DIED, HUNG = "the worker died", "no result within"


def given_up(outcome: Outcome) -> Outcome:
    """A unit that kills or blocks its worker again and again becomes a row with the reason."""
    if outcome.row is None and outcome.error.startswith((DIED, HUNG)):
        row = {**outcome.unit.row, **failure(outcome.error), "host": os.uname().nodename, "warnings": ""}
        return Outcome(outcome.unit, row, outcome.error)
    return outcome


class _Worker:
    """A process with one engine, and the unit in flight."""

    def __init__(self, job: Job, out: str) -> None:
        self._args = job, out
        self.unit: Unit | None = None
        self._launch()

    def _launch(self) -> None:
        context = mp.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, *self._args), daemon=True)
        self.process.start()
        theirs.close()
        self._ready, self._since = False, time.monotonic()

    def start(self, unit: Unit) -> None:
        self.unit, self._since = unit, time.monotonic()
        try:
            self.pipe.send(unit)
        except OSError:  # it died idle
            self._relaunch()
            self.pipe.send(unit)

    def poll(self, deadline: float) -> Outcome | None:
        """The outcome of the unit in flight, None while it runs."""
        assert self.unit is not None
        unit = self.unit
        try:
            while self.pipe.poll():
                message = self.pipe.recv()
                if message != READY:
                    self.unit = None
                    return Outcome(unit, *message)
                self._ready, self._since = True, time.monotonic()
        except (EOFError, OSError):
            self.process.join(5)
        if not self.process.is_alive():
            code = self.process.exitcode
            self._relaunch()
            return Outcome(unit, None, f"{DIED} (exit code {code}): out of memory, or a fault in native code")
        if time.monotonic() - self._since > (deadline if self._ready else START_SECONDS):
            self._relaunch()
            return Outcome(unit, None, f"{HUNG} {deadline:g} s: the worker was stopped")
        return None

    def _relaunch(self) -> None:
        self.close()
        self.unit = None
        self._launch()

    def close(self) -> None:
        self.pipe.close()
        if self.unit is not None or not self.process.is_alive():
            self.process.kill()
        self.process.join(10)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _work(pipe: Connection, job: Job, out: str) -> None:
    """The life of a worker: it ends with its parent, whose end of the pipe closes."""
    performer: Performer | None = None
    try:
        while True:
            unit = pipe.recv()
            try:
                if performer is None:
                    performer = Performer(job, out)
                    pipe.send(READY)
                pipe.send((performer.perform(unit), ""))
            except PASSING as error:
                pipe.send((None, str(error) or type(error).__name__))
    except (EOFError, OSError, KeyboardInterrupt):
        pass
    finally:
        if performer:
            performer.close()
