"""Reference profile: distributions of a network's outputs on drives on which it worked well. A JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from camera_perception.core.documents.kind import DocumentKind
from camera_perception.core.errors import ModelError
from camera_perception.core.model_spec import ModelSpec
from camera_perception.tools.drift.divergence import jensen_shannon
from camera_perception.tools.drift.histograms import Histogram, Metrics, add_metrics

SCHEMA = 1
DOCUMENT = DocumentKind(
    "a profile of this version",
    "json",
    ("camera_perception.tools.drift", "profile.schema.json"),
    ModelError,
    "write it with `camera-perception profile`",
)
WINDOW, PARTS = 60.0, 4  # seconds that are compared, and the minimum number of such windows in a reference
MIN_WINDOW = 4.5  # seconds with MIN_OBSERVATIONS sampled frames
MIN_OBSERVATIONS = 20  # of a metric (objects, lines, frames) in a window for a comparison
MIN_REFERENCE_OBSERVATIONS = 5  # the same for the windows of the reference itself
OLD_NAMES = {
    "object number": "object count",
    "lane number": "lane count",
    "road share": "road fraction",
}  # in profiles of 0.1.0


@dataclass(frozen=True)
class Reference:
    """One metric of the reference.

    histogram of all drives
    spread    the largest divergence, in bits, of one window of the drives from the rest of them
    """

    histogram: Histogram
    spread: float


@dataclass(frozen=True)
class Profile:
    """Reference of a model with these thresholds, for comparisons over windows of `window` seconds."""

    model: str
    sha256: str
    thresholds: dict[str, float]
    window: float
    seconds: float
    frames: int
    source: str
    metrics: dict[str, Reference]

    def save(self, path: Path) -> None:
        data = {"schema": SCHEMA, **asdict(self)}
        data["figures"] = data.pop("metrics")  # the key of the file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data, indent=1) + "\n", "utf-8")


def load_profile(path: Path, spec: ModelSpec) -> Profile:
    """Read a profile; ModelError when the file is not one, or was written with another model."""
    if not path.exists():
        raise ModelError(f"{path} does not exist: {DOCUMENT.remedy}")
    profile = _profile(DOCUMENT.read(path))
    if profile.sha256 != spec.onnx_sha256:
        raise ModelError(f"{path} was written with another {profile.model} than {spec.onnx_path}: {DOCUMENT.remedy}")
    return profile


def _profile(data: Mapping[str, Any]) -> Profile:
    metrics = {OLD_NAMES.get(name, name): Reference(**entry) for name, entry in data["figures"].items()}
    return Profile(**{key: data[key] for key in data if key not in ("schema", "figures")}, metrics=metrics)


def profile_of(
    drives: Sequence[Sequence[tuple[int, Metrics]]], spec: ModelSpec, thresholds: Mapping[str, float], source: str
) -> Profile:
    """The profile of drives, each with (stamp_ns, metrics) per frame. ModelError when they are too short."""
    drives = [drive for drive in drives if drive]
    seconds, frames = sum((drive[-1][0] - drive[0][0]) / 1e9 for drive in drives), sum(map(len, drives))
    part = min(WINDOW, seconds / PARTS)
    if frames < MIN_OBSERVATIONS or part <= 0:
        raise ModelError(
            f"{source} has only {frames} images in {seconds:.1f} s: give longer drives, of minutes, for a profile"
        )
    windows = [metrics for drive in drives for metrics in windows_of(drive, part)]
    return Profile(
        model=spec.name,
        sha256=spec.onnx_sha256,
        thresholds=dict(thresholds),
        window=round(max(part, MIN_WINDOW), 3),
        seconds=round(seconds, 3),
        frames=frames,
        source=source,
        metrics=references_of(windows),
    )


def windows_of(frames: Sequence[tuple[int, Metrics]], window: float) -> list[Metrics]:
    """The metrics of consecutive windows of a drive; an incomplete last window is added to the one before.

    frames  (stamp_ns, metrics) in their order
    """
    first, last = frames[0][0], frames[-1][0]
    count = max(1, int((last - first) / 1e9 / window + 0.01))
    windows: list[Metrics] = [{} for _ in range(count)]
    for stamp_ns, metrics in frames:
        add_metrics(windows[min(int((stamp_ns - first) / 1e9 / window), count - 1)], metrics)
    return windows


def references_of(windows: Sequence[Metrics]) -> dict[str, Reference]:
    """All windows together, and the spread among them: what varies in the reference is no reason for a warning."""
    total: Metrics = {}
    for window in windows:
        add_metrics(total, window)
    spreads: dict[str, float] = dict.fromkeys(total, 0.0)
    for index, window in enumerate(windows):
        rest: Metrics = {}
        for other in (*windows[:index], *windows[index + 1 :]):
            add_metrics(rest, other)
        for name, histogram in window.items():
            weights = sum(histogram.values()), sum(rest.get(name, {}).values())
            if min(weights) >= MIN_REFERENCE_OBSERVATIONS:
                spreads[name] = max(spreads[name], jensen_shannon(histogram, rest[name]))
    return {name: Reference(total[name], round(spreads[name], 4)) for name in sorted(total)}
