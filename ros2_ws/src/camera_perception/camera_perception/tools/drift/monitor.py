"""Comparison of the last window of a running camera with the reference profile. Time comes from stamps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from camera_perception.core.model_spec import ModelSpec
from camera_perception.core.types import Perception
from camera_perception.tools.drift.divergence import expected_divergence, jensen_shannon
from camera_perception.tools.drift.histograms import Histogram, Metrics, add_metrics, metrics_of
from camera_perception.tools.drift.profile import MIN_OBSERVATIONS, Profile, load_profile

PERIOD = 0.2  # seconds between sampled frames: neighbouring frames have nearly the same outputs
SLICES = 12  # of a window, which advances by one slice at a time
FLOOR, FACTOR = 0.1, 1.0  # of the limit: bits; multiple of the spread of the reference
INDEPENDENT_RATE = 0.5  # independent samples per second; the frames between them are nearly the same


@dataclass(frozen=True, slots=True)
class MetricDrift:
    """Divergence of one metric from the reference, and its limit, in bits."""

    name: str
    divergence: float
    limit: float

    @property
    def exceeds_limit(self) -> bool:
        return self.divergence > self.limit


@dataclass(frozen=True, slots=True)
class DriftResult:
    """Result of the last full window; without one, `reason` says why."""

    metrics: tuple[MetricDrift, ...] = ()
    reason: str = "the first window is not full yet"

    @property
    def drifted(self) -> tuple[MetricDrift, ...]:
        """Metrics beyond their limit, worst first."""
        drifted = (metric for metric in self.metrics if metric.exceeds_limit)
        return tuple(sorted(drifted, key=lambda metric: metric.limit / metric.divergence))


class DriftMonitor:
    """Drift of one camera."""

    def __init__(self, profile: Profile, spec: ModelSpec) -> None:
        self.profile, self._spec = profile, spec
        self.reset()

    def reset(self) -> None:
        """Discard all frames, as after a jump of the clock."""
        self._slices: dict[int, Metrics] = {}  # by their number since 1970
        self._sampled_ns: int | None = None
        self.result = DriftResult()

    def update(self, perception: Perception, thresholds: Mapping[str, float]) -> None:
        """Add a frame that was processed with these thresholds."""
        if self._samples(perception.frame.stamp_ns, thresholds):
            self.add(perception.frame.stamp_ns, metrics_of(perception, self._spec))

    def _samples(self, stamp_ns: int, thresholds: Mapping[str, float]) -> bool:
        """Whether a frame is sampled."""
        if thresholds != self.profile.thresholds:
            self.reset()
            self.result = DriftResult(
                reason="the thresholds differ from those of the profile: write the profile with these thresholds"
            )
            return False
        gap = None if self._sampled_ns is None else (stamp_ns - self._sampled_ns) / 1e9
        if gap is not None and not 0 <= gap <= self.profile.window:
            self.reset()
        elif gap is not None and gap < min(PERIOD, self.profile.window / SLICES) - 0.001:
            return False
        self._sampled_ns = stamp_ns
        return True

    def add(self, stamp_ns: int, metrics: Metrics) -> None:
        """Add the metrics of a frame."""
        number = int(stamp_ns * SLICES / (self.profile.window * 1e9))
        if number not in self._slices:
            self._finish_window(number)
        add_metrics(self._slices.setdefault(number, {}), metrics)

    def _finish_window(self, number: int) -> None:
        """Evaluate the window before the slice that starts now, if it is full."""
        if self._slices and min(self._slices) <= number - SLICES:
            self._slices = {at: part for at, part in self._slices.items() if at >= number - SLICES}
            self.result = evaluate(self._slices.values(), self.profile)


def evaluate(slices: Iterable[Metrics], profile: Profile) -> DriftResult:
    """Compare every metric with enough observations, now and in the profile."""
    now: Metrics = {}
    for part in slices:
        add_metrics(now, part)
    pairs = {name: (now.get(name, {}), reference.histogram) for name, reference in profile.metrics.items()}
    usable = {
        name: pair for name, pair in pairs.items() if min(sum(part.values()) for part in pair) >= MIN_OBSERVATIONS
    }
    metrics = tuple(
        MetricDrift(name, jensen_shannon(*pair), limit(name, *pair, profile)) for name, pair in usable.items()
    )
    return DriftResult(metrics, "" if metrics else "too few observations for a comparison")


def limit(name: str, now: Histogram, reference: Histogram, profile: Profile) -> float:
    """Allowed divergence in bits: a floor, the spread of the reference itself, and chance."""
    samples = INDEPENDENT_RATE * profile.window, INDEPENDENT_RATE * profile.seconds
    return FLOOR + FACTOR * profile.metrics[name].spread + expected_divergence(now, reference, samples)


def open_monitor(spec: ModelSpec, profile: str = "") -> DriftMonitor | None:
    """A monitor with a profile file or the model folder's own; None without one. ModelError when it does not fit."""
    path = Path(profile) if profile else spec.folder / "profile.json"
    return DriftMonitor(load_profile(path, spec), spec) if profile or path.is_file() else None
