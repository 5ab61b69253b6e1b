"""log.jsonl as pictures: how losses fell and measures rose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Curves = dict[str, list[tuple[int, float]]]


def read_log(path: Path) -> list[dict[str, Any]]:
    """Rows by step. A resumed run repeats the steps after its last checkpoint: what it says then counts."""
    rows: dict[int, dict[str, Any]] = {}
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        rows = {step: old for step, old in rows.items() if step <= row["step"]}
        rows[row["step"]] = rows.get(row["step"], {}) | row
    return [rows[step] for step in sorted(rows)]


def curves(rows: list[dict[str, Any]]) -> Curves:
    """Name: (step, value) of everything that was logged."""
    found: Curves = {}
    for row in rows:
        for name, value in row.items():
            if name != "step":
                found.setdefault(name, []).append((row["step"], value))
    return found


def smoothed(values: list[float], share: float = 0.08) -> list[float]:
    """Exponential moving average, so that a trend can be seen through the noise of single batches."""
    out: list[float] = []
    for value in values:
        out.append(value if not out else out[-1] + share * (value - out[-1]))
    return out


def draw_curves(log: Path, picture: Path) -> None:
    """One panel of training losses (log scale), one of validation losses, one of measures."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    found = curves(read_log(log))
    groups = {
        "training loss, smoothed": [name for name in found if name.startswith("train/")],
        "validation loss": [name for name in found if name.startswith("val/loss/")],
        "validation": [name for name in found if name.startswith("val/iou/")],
    }
    groups = {title: names for title, names in groups.items() if names}
    figure = Figure(figsize=(5.2 * max(len(groups), 1), 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    for place, (title, names) in enumerate(groups.items(), 1):
        axes = figure.add_subplot(1, len(groups), place, title=title, xlabel="step")
        for name in sorted(names):
            steps, values = zip(*found[name])
            line = smoothed(list(values)) if title.startswith("training") else values
            axes.plot(
                steps, line, label=name.removeprefix("val/").split("/", 1)[-1], marker="." if len(steps) < 30 else None
            )
        if "loss" in title:
            axes.set_yscale("log")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(picture, dpi=110)
