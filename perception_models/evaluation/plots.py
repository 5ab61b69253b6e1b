"""Plots of the report, as PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure


def precision_recall(curves: Mapping[str, Sequence[float]]) -> bytes:
    """One line per class: precision at recalls 0, 0.01 ... 1."""
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.add_subplot(xlabel="recall", ylabel="precision at IoU 0.5", xlim=(0, 1), ylim=(0, 1.02))
    for name, precision in curves.items():
        axes.plot(np.linspace(0, 1, len(precision)), precision, label=name, lw=2.5 if name == "vehicles" else 1.2)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize=7)  # beside the curves, not over them
    return _png(figure)


def matrix(counts: Sequence[Sequence[int]], rows: Sequence[str], columns: Sequence[str]) -> bytes:
    """Confusion matrix, each row normalised by its number of labels."""
    table = np.array(counts, float)
    table /= np.maximum(table.sum(1, keepdims=True), 1)
    figure = Figure(figsize=(1.9 + 0.45 * len(columns), 1.4 + 0.38 * len(rows)), layout="constrained")
    axes = figure.add_subplot(xlabel="predicted", ylabel="labelled")
    axes.imshow(table, vmin=0, vmax=1, cmap="Blues", aspect="auto")
    axes.set_xticks(range(len(columns)), columns, rotation=45, ha="right", fontsize=7)
    axes.set_yticks(range(len(rows)), rows, fontsize=7)
    for (row, column), fraction in np.ndenumerate(table):
        if fraction >= 0.005:
            color = "white" if fraction > 0.6 else "black"
            axes.text(column, row, f"{fraction:.2f}", ha="center", va="center", fontsize=6, color=color)
    return _png(figure)


def roc(curves: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> bytes:
    """Free-response ROC, one line per class: recall over false positives per frame."""
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.add_subplot(xlabel="false positives per frame", ylabel="recall at IoU 0.5", ylim=(0, 1.02))
    for name, (false_positives, recall) in curves.items():
        axes.plot(false_positives, recall, label=name, lw=2.5 if name == "vehicles" else 1.2)
    axes.set_xscale("symlog", linthresh=0.1)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize=7)  # beside the curves, not over them
    return _png(figure)


def reliability_diagram(bins: Sequence[Sequence[float | None]]) -> bytes:
    """Accuracy over score, one bar per non-empty bin; calibrated scores lie on the diagonal."""
    figure = Figure(figsize=(4.2, 4.2), layout="constrained")
    axes = figure.add_subplot(xlabel="score", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    axes.plot([0, 1], [0, 1], color="grey", lw=1)
    for index, (count, _, accuracy) in enumerate(bins):
        if count and accuracy is not None:
            axes.bar((index + 0.5) / len(bins), accuracy, 0.9 / len(bins), color="tab:blue", alpha=0.75)
    return _png(figure)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
