"""The reference: how a network's answers are distributed on drives on which it was found good. A JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from camera_perception.core.errors import ModelError
from camera_perception.core.model_spec import ModelSpec
from camera_perception.tools.drift.divergence import jensen_shannon
from camera_perception.tools.drift.histograms import Figures, Histogram, added

SCHEMA = 1
WINDOW, PARTS = 60.0, 4  # seconds that are compared, and how many such windows a reference has at least
LEAST = 20  # observations (objects, lines, frames) in a window from which on a figure is judged
SHORTEST = 4.5  # seconds in which as many frames are looked at
FEW = 5  # the same for the windows of the reference itself


@dataclass(frozen=True)
class Usual:
    """One figure of the reference.

    histogram of the whole drive
    spread    the largest divergence, in bits, of one window of the drive from the rest of it
    """

    histogram: Histogram
    spread: float


@dataclass(frozen=True)
class Profile:
    """What is usual for a model with these thresholds, compared over windows of `window` seconds."""

    model: str
    sha256: str
    thresholds: dict[str, float]
    window: float
    seconds: float
    frames: int
    source: str
    figures: dict[str, Usual]

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1) + "\n", "utf-8")


def load_profile(path: Path, spec: ModelSpec) -> Profile:
    """ModelError when the file is none, or was written with another model."""
    again = "write it again with `camera-perception profile`"
    try:
        data = json.loads(path.read_text("utf-8"))
        profile = _profile(data)
    except FileNotFoundError:
        raise ModelError(f"{path} does not exist: write it with `camera-perception profile`") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is no profile of this version ({error!r}): {again}") from error
    if profile.sha256 != spec.onnx_sha256:
        raise ModelError(f"{path} was written with another {profile.model} than {spec.onnx_path}: {again}")
    return profile


def _profile(data: Mapping[str, Any]) -> Profile:
    if data["schema"] != SCHEMA:
        raise ValueError(f"schema {data['schema']}")
    figures = {name: Usual(**usual) for name, usual in data["figures"].items()}
    return Profile(**{**{key: data[key] for key in data if key != "schema"}, "figures": figures})


def windows_of(frames: Sequence[tuple[int, Figures]], window: float) -> list[Figures]:
    """The figures of consecutive windows of a drive; a last one that is not full belongs to the one before.

    frames (stamp_ns, figures) in their order
    """
    first, last = frames[0][0], frames[-1][0]
    count = max(1, int((last - first) / 1e9 / window + 0.01))
    windows: list[Figures] = [{} for _ in range(count)]
    for stamp_ns, figures in frames:
        added(windows[min(int((stamp_ns - first) / 1e9 / window), count - 1)], figures)
    return windows


def usual_of(windows: Sequence[Figures]) -> dict[str, Usual]:
    """The whole, and how far windows are from the rest: what the reference itself does is no reason for a warning."""
    whole: Figures = {}
    for window in windows:
        added(whole, window)
    spreads: dict[str, float] = dict.fromkeys(whole, 0.0)
    for index, window in enumerate(windows):
        rest: Figures = {}
        for other in (*windows[:index], *windows[index + 1 :]):
            added(rest, other)
        for name, histogram in window.items():
            if sum(histogram.values()) >= FEW and sum(rest.get(name, {}).values()) >= FEW:
                spreads[name] = max(spreads[name], jensen_shannon(histogram, rest[name]))
    return {name: Usual(whole[name], round(spreads[name], 4)) for name in sorted(whole)}


def profile_of(
    drives: Sequence[Sequence[tuple[int, Figures]]], spec: ModelSpec, thresholds: Mapping[str, float], source: str
) -> Profile:
    """Of drives, each (stamp_ns, figures) per frame. ModelError when they are too short to know what is usual."""
    drives = [drive for drive in drives if drive]
    seconds, frames = sum((drive[-1][0] - drive[0][0]) / 1e9 for drive in drives), sum(map(len, drives))
    part = min(WINDOW, seconds / PARTS)
    if frames < LEAST or part <= 0:
        raise ModelError(
            f"{source} has {frames} images in {seconds:.1f} s to learn from: give longer drives, of minutes"
        )
    windows = [window_figures for drive in drives for window_figures in windows_of(drive, part)]
    return Profile(
        model=spec.name,
        sha256=spec.onnx_sha256,
        thresholds=dict(thresholds),
        window=round(max(part, SHORTEST), 3),
        seconds=round(seconds, 3),
        frames=frames,
        source=source,
        figures=usual_of(windows),
    )
