"""A door is a place where bytes from outside come in, and the rule for what may happen there."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cases import Make, drawn
from hypothesis import strategies as st

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
sys.path += [str(HERE.parent / name) for name in ("library", "models")]  # small models and labelled folders

MOST_CHARACTERS, MOST_SECONDS, MOST_BYTES = 500, 5.0, 1 << 30
FINDINGS = HERE / "findings"


class Finding(AssertionError):
    """An input broke the rule. `place` tells findings apart: the kind of the error and the line that raised it."""

    def __init__(self, place: str, text: str) -> None:
        super().__init__(f"{place}: {text}")
        self.place = place


@dataclass(frozen=True)
class Door:
    """One place for input from outside.

    open_   (bytes of a case, an empty folder that is kept from case to case) -> anything; raises errors of ours
    seeds   () -> inputs that are right, or nearly so
    cases   seeds -> what makes cases of them, see cases.py
    """

    name: str
    open_: Callable[[bytes, Path], object]
    seeds: Callable[[], list[bytes]]
    cases: Callable[[list[bytes]], Make]

    @cached_property
    def make(self) -> Make:
        return self.cases(self.seeds())

    @cached_property
    def strategy(self) -> st.SearchStrategy[bytes]:
        return drawn(self.make)

    def check(self, case: bytes, folder: Path) -> str:
        """ "good" or "refused"; Finding when the case breaks the rule."""
        from camera_perception.core.errors import PerceptionError

        started = time.process_time()
        outcome = "good"
        try:
            self.open_(case, folder)
        except PerceptionError as error:
            outcome = "refused"
            if len(str(error)) > MOST_CHARACTERS:
                raise Finding(f"long text, {_place(error)}", str(error)[:200]) from error
        except Exception as error:
            raise Finding(f"{type(error).__name__}, {_place(error)}", str(error)[:200]) from error
        seconds = time.process_time() - started
        if seconds > MOST_SECONDS:
            raise Finding("slow", f"{seconds:.1f} s")
        return outcome


def _place(error: BaseException) -> str:
    """File and line of the deepest frame of this repository."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if str(REPOSITORY) in frame.filename and str(HERE) not in frame.filename]
    frame = (ours or frames)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"
