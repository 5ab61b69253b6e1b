"""Compares the last window of a running camera with the reference. Time comes from stamps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from camera_perception.core.model_spec import ModelSpec
from camera_perception.core.types import Perception
from camera_perception.tools.drift.divergence import chance, jensen_shannon
from camera_perception.tools.drift.histograms import Figures, Histogram, added, figures_of
from camera_perception.tools.drift.profile import LEAST, Profile, load_profile

EVERY = 0.2  # seconds between frames that are looked at: neighbours say the same
SLICES = 12  # of a window, which moves on by one at a time
FLOOR, FACTOR = 0.1, 1.0  # bits; times the spread of the reference
LOOKS = 0.5  # independent looks at the world per second; the frames between say nearly the same


@dataclass(frozen=True, slots=True)
class Moved:
    """How far a figure is from the reference, in bits, and how far it may be."""

    name: str
    divergence: float
    limit: float

    @property
    def far(self) -> bool:
        return self.divergence > self.limit


@dataclass(frozen=True, slots=True)
class Judgement:
    """Of the last full window. why is not empty when nothing can be said, and says so."""

    figures: tuple[Moved, ...] = ()
    why: str = "the first window is not full yet"

    @property
    def moved(self) -> tuple[Moved, ...]:
        """Those beyond their limit, the worst first."""
        far = (figure for figure in self.figures if figure.far)
        return tuple(sorted(far, key=lambda figure: figure.limit / figure.divergence))


class DriftMonitor:
    """Of one camera."""

    def __init__(self, profile: Profile, spec: ModelSpec) -> None:
        self.profile, self._spec = profile, spec
        self.reset()

    def reset(self) -> None:
        """Forget what was seen: after a jump of the clock."""
        self._slices: dict[int, Figures] = {}  # by their number since 1970
        self._looked_ns: int | None = None
        self.judgement = Judgement()

    def update(self, perception: Perception, thresholds: Mapping[str, float]) -> None:
        """One more frame; thresholds by which it was made."""
        if self._wants(perception.frame.stamp_ns, thresholds):
            self.add(perception.frame.stamp_ns, figures_of(perception, self._spec))

    def _wants(self, stamp_ns: int, thresholds: Mapping[str, float]) -> bool:
        if thresholds != self.profile.thresholds:
            self.reset()
            self.judgement = Judgement(why="thresholds are not those of the profile: write it again")
            return False
        gap = None if self._looked_ns is None else (stamp_ns - self._looked_ns) / 1e9
        if gap is not None and not 0 <= gap <= self.profile.window:
            self.reset()
        elif gap is not None and gap < min(EVERY, self.profile.window / SLICES) - 0.001:
            return False
        self._looked_ns = stamp_ns
        return True

    def add(self, stamp_ns: int, figures: Figures) -> None:
        """The figures of a frame; update makes them."""
        number = int(stamp_ns * SLICES / (self.profile.window * 1e9))
        if number not in self._slices:
            self._judge(number)
        added(self._slices.setdefault(number, {}), figures)

    def _judge(self, number: int) -> None:
        """The window before the slice that begins now, when it is full."""
        if self._slices and min(self._slices) <= number - SLICES:
            self._slices = {at: part for at, part in self._slices.items() if at >= number - SLICES}
            self.judgement = judge(self._slices.values(), self.profile)


def judge(slices: Iterable[Figures], profile: Profile) -> Judgement:
    """Every figure that was seen often enough, now and in the profile."""
    now: Figures = {}
    for part in slices:
        added(now, part)
    pairs = {name: (now.get(name, {}), usual.histogram) for name, usual in profile.figures.items()}
    seen = {name: pair for name, pair in pairs.items() if min(sum(part.values()) for part in pair) >= LEAST}
    figures = tuple(Moved(name, jensen_shannon(*pair), limit(name, *pair, profile)) for name, pair in seen.items())
    return Judgement(figures, "" if figures else "too little was seen to judge")


def limit(name: str, now: Histogram, usual: Histogram, profile: Profile) -> float:
    """Bits that a figure may be off: what is too little to matter, what the reference does itself, and chance."""
    looks = LOOKS * profile.window, LOOKS * profile.seconds
    return FLOOR + FACTOR * profile.figures[name].spread + chance(now, usual, looks)


def open_monitor(spec: ModelSpec, profile: str = "") -> DriftMonitor | None:
    """With a profile file, or the model folder's own; None where there is none. ModelError when it does not fit."""
    path = Path(profile) if profile else spec.folder / "profile.json"
    return DriftMonitor(load_profile(path, spec), spec) if profile or path.is_file() else None
