"""Plots of a drive over time for the report, as SVG. matplotlib is imported when the first one is drawn."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from camera_perception.core.types import Status
from camera_perception.tools.replay.metrics import (
    STAGES,
    Fields,
    column,
    health_table,
    named_tracks,
    object_table,
    seconds,
)

COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#F0E442", "#555555")  # Okabe-Ito
MAX_POINTS = 1200  # of a curve; an hour at 30 Hz has 108000


def plots(frames: Sequence[Fields]) -> list[tuple[str, str]]:
    """(caption, SVG) of each plot."""
    drawings = [
        ("Latency per stage", _latency_plot),
        ("Objects per image", _count_plot),
        ("Lane lines and drivable fraction of the image", _road_plot),
        ("Health: status flags over time", _health_plot),
    ]
    return [(caption, draw(frames)) for caption, draw in drawings]


def _latency_plot(frames: Sequence[Fields]) -> str:
    figure, axes = _axes("ms")
    times = thin(seconds(frames), np.min)
    stages = [thin(np.nan_to_num(column(frames, stage)), np.mean) for stage in STAGES]
    axes.stackplot(
        times, stages, labels=[s.removesuffix("_ms") for s in STAGES], colors=COLORS, linewidth=0, alpha=0.85
    )
    total = np.sum(stages, axis=0)
    if len(total):
        axes.set_ylim(0, max(1.0, float(np.percentile(total, 99.5)) * 1.3))
    return _svg(figure, axes)


def _count_plot(frames: Sequence[Fields]) -> str:
    figure, axes = _axes("count")
    times = thin(seconds(frames), np.min)
    names = [name for name, _, _ in object_table(frames) if name != "lane line"][: len(COLORS)]
    counts = [Counter(name for name, _ in named_tracks(frame)) for frame in frames]
    for name, color in zip(names, COLORS):
        axes.step(
            times, thin([count[name] for count in counts], np.max), where="post", label=name, color=color, linewidth=1.2
        )
    _whole_numbers(axes)
    return _svg(figure, axes)


def _road_plot(frames: Sequence[Fields]) -> str:
    figure, axes = _axes("lines")
    times = thin(seconds(frames), np.min)
    lines = thin([len(frame.get("lanes", ())) for frame in frames], np.max)
    axes.step(times, lines, where="post", label="lane lines", color=COLORS[0])
    _whole_numbers(axes)
    right = axes.twinx()
    right.set_ylim(0, 1)
    right.set_ylabel("drivable fraction")
    coverage = thin([frame["road"]["coverage"] for frame in frames], np.mean)
    right.plot(times, coverage, color=COLORS[2], label="drivable fraction", linewidth=1.2)
    axes.plot([], [], color=COLORS[2], label="drivable fraction")
    return _svg(figure, axes)


def _health_plot(frames: Sequence[Fields]) -> str:
    figure, axes = _axes("")
    times = seconds(frames)
    names = [name for name, _ in health_table(frames)]
    for row, name in enumerate(names):
        spans = runs([bool(int(frame["status_flags"]) & Status[name]) for frame in frames], times)
        axes.broken_barh(spans, (row - 0.35, 0.7), color=COLORS[4], linewidth=0)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(-0.7, max(len(names), 1) - 0.3)
    axes.set_xlim(0, max(float(times[-1]), 1e-3) if len(times) else 1.0)
    if not names:
        axes.text(0.5, 0.5, "no flag was set", transform=axes.transAxes, ha="center", va="center", color="#555555")
    return _svg(figure, axes)


def thin(values: Sequence[float] | np.ndarray, join: Any) -> np.ndarray:
    """At most MAX_POINTS values, each joined (np.min, np.max, np.mean) from equally many neighbours."""
    array = np.asarray(values, float)
    if len(array) <= MAX_POINTS:
        return array
    return np.array([join(part) for part in np.array_split(array, MAX_POINTS)])


def runs(is_set: Sequence[bool], times: np.ndarray) -> list[tuple[float, float]]:
    """(start, length) in seconds of each run of frames with a flag; a run lasts until the next frame."""
    if not len(times):
        return []
    edges = np.flatnonzero(np.diff([False, *is_set, False]))
    last = times[-1] + (np.median(np.diff(times)) if len(times) > 1 else 0.1)
    ends = np.append(times, last)
    return [(float(ends[a]), float(ends[b] - ends[a])) for a, b in zip(edges[::2], edges[1::2])]


def _axes(label: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 2.7), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel("seconds")
    axes.set_ylabel(label)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _whole_numbers(axes: Any) -> None:
    """For counts: start at zero, ticks at whole numbers."""
    axes.set_ylim(0, max(axes.get_ylim()[1], 2) * 1.1)
    axes.yaxis.get_major_locator().set_params(integer=True)


def _svg(figure: Any, axes: Any) -> str:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        axes.legend(handles, labels, loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=8)
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :]
