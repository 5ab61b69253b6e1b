"""Rounds of a fault that end when all are done, when their time is over, or at the first Ctrl-C."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import reduce
from pathlib import Path
from types import FrameType

from tqdm import tqdm

from camera_perception.core.errors import PerceptionError
from camera_perception_ros.bench.reliability.figures import Held, Outcome


class Stop:
    """The first SIGINT or SIGTERM lets the round at hand end and its table be printed; the second does not."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        tqdm.write("stopping after this round; Ctrl-C again stops at once")


@dataclass
class Rounds:
    """Iterates over the numbers of the rounds; `done` of them have ended."""

    most: int
    seconds: float
    stop: Stop
    done: int = 0

    def __iter__(self) -> Iterator[int]:
        until = time.monotonic() + self.seconds
        for number in tqdm(range(self.most), unit="round", disable=None):
            if self.stop.asked or time.monotonic() > until:
                return
            yield number
            self.done += 1


@dataclass(frozen=True)
class Results:
    """Outcomes of earlier runs, one line of JSON each: runs that add to the same file add up."""

    file: Path | None

    def of(self, case: str) -> Outcome | None:
        """The sum of all runs of a fault."""
        found = [outcome for name, outcome in self._read() if name == case]
        return reduce(Outcome.__add__, found) if found else None

    def add(self, case: str, outcome: Outcome) -> Outcome:
        """Store one run; the sum with the earlier ones."""
        if self.file is None:
            return outcome
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"case": case, **asdict(outcome)}) + "\n")
        return self.of(case) or outcome

    def _read(self) -> Iterator[tuple[str, Outcome]]:
        if self.file is None or not self.file.exists():
            return
        try:
            for line in self.file.read_text("utf-8").splitlines():
                values = json.loads(line)
                yield values.pop("case"), Outcome(**{**values, "grown": Held(**values["grown"])})
        except (ValueError, TypeError, KeyError) as error:
            raise PerceptionError(
                f"{self.file} does not hold results of faults ({error!r}): give another file"
            ) from None
