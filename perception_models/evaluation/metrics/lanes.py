"""Lane metrics: F1, position, type and colour of predicted lines.

A predicted line is correct if its mean horizontal distance from a labelled line, over the rows that both cover, is at
most 20 px in an image 1280 px wide (scaled with the width), both cover at least half of the rows of the labelled line,
and the positions agree (a line without a position matches any). The assignment minimises the total distance. Only
labelled positions count: predictions at other positions are ignored, and so are predictions on a labelled line that has
no position.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from camera_perception.core.types import LaneLine, LineColor, LineType
from perception_models.data.labels import LINE_COLORS, LINE_TYPES, UNKNOWN
from perception_models.data.sample import Lane, Lanes
from perception_models.data.targets import columns_at
from perception_models.evaluation.metrics.scores import accuracy_of, calibration_error, confusion

TOLERANCE = 20.0  # pixels in an image 1280 wide
WIDTH = 1280.0
OVERLAP = 0.5
ROWS = 180  # sampled per image


@dataclass
class LaneRecord:
    """Counts of one image. types and colors: (predicted, labelled) index pairs of correct lines with a known label."""

    correct: int = 0
    found: int = 0  # predictions that count
    labelled: int = 0
    correct_any_position: int = 0
    distances: list[float] = field(default_factory=list)  # of correct lines, px at 1280
    types: list[tuple[int, int]] = field(default_factory=list)
    colors: list[tuple[int, int]] = field(default_factory=list)
    scores: list[tuple[float, bool]] = field(default_factory=list)
    ego: tuple[int, int, int] = (0, 0, 0)  # correct, found, labelled: the two lines of the ego lane


def record(found: Sequence[LaneLine], labelled: Lanes, size: tuple[int, int]) -> LaneRecord:
    """size: (height, width) of the image in pixels."""
    truth = [line for line in labelled.lines if line.position in labelled.labelled_positions]
    others = [line for line in labelled.lines if line.position not in labelled.labelled_positions]
    distance = distances(found, truth, size)
    on_others = np.any(distances(found, others, size) <= TOLERANCE, axis=1)
    pairs = match(distance, _same_position(found, truth))
    hit = {f for f, _ in pairs}
    counted = [
        i for i, line in enumerate(found)
        if i in hit or (line.position in (0, *labelled.labelled_positions) and not on_others[i])
    ]  # fmt: skip
    out = LaneRecord(len(pairs), len(counted), len(truth), len(match(distance)))
    out.scores = [(found[i].score, i in hit) for i in counted]
    out.ego = _ego(found, truth, pairs, counted)
    for f, t in pairs:
        out.distances.append(float(distance[f, t]))
        _compare_style(out, found[f], truth[t])
    return out


def distances(found: Sequence[LaneLine], truth: Sequence[Lane], size: tuple[int, int]) -> np.ndarray:
    """(found, truth) mean horizontal distance, pixels at 1280 wide; inf where the overlap is too small."""
    rows = (np.arange(ROWS) + 0.5) * size[0] / ROWS
    us = [np.array([columns_at(Lane(line.points), rows, size[1] + 1) for line in lines]) for lines in (found, truth)]
    found_u, truth_u = (u.reshape(-1, ROWS) for u in us)
    gap = np.abs(found_u[:, None] - truth_u[None]) * WIDTH / size[1]
    common = np.isfinite(gap).sum(2)
    enough = common >= np.maximum(OVERLAP * np.isfinite(truth_u).sum(1), 1)
    total = np.where(np.isfinite(gap), gap, 0).sum(2)
    return np.asarray(np.where(enough, total / np.maximum(common, 1), np.inf))


def match(distance: np.ndarray, allowed: np.ndarray | None = None) -> list[tuple[int, int]]:
    """(found, truth) pairs within the tolerance: as many as possible, then with the smallest total distance."""
    near = distance <= TOLERANCE
    if allowed is not None:
        near &= allowed
    cost = np.where(near, distance, 1e6)
    return [(int(f), int(t)) for f, t in zip(*linear_sum_assignment(cost)) if near[f, t]]


def _same_position(found: Sequence[LaneLine], truth: Sequence[Lane]) -> np.ndarray:
    position = np.array([line.position for line in found]).reshape(-1, 1)
    return np.asarray((position == 0) | (position == np.array([line.position for line in truth]).reshape(1, -1)))


def _ego(
    found: Sequence[LaneLine], truth: Sequence[Lane], pairs: list[tuple[int, int]], counted: list[int]
) -> tuple[int, int, int]:
    correct = sum(abs(truth[t].position) == 1 for _, t in pairs)
    elsewhere = {f for f, t in pairs if abs(truth[t].position) != 1}
    predicted = sum(abs(found[i].position) <= 1 and i not in elsewhere for i in counted)
    return correct, predicted, sum(abs(line.position) == 1 for line in truth)


def _compare_style(out: LaneRecord, found: LaneLine, truth: Lane) -> None:
    if truth.line_type != UNKNOWN:
        out.types.append((_index(LINE_TYPES, LineType(found.line_type).name), truth.line_type))
    if truth.line_color != UNKNOWN:
        out.colors.append((_index(LINE_COLORS, LineColor(found.color).name), truth.line_color))


def _index(names: tuple[str, ...], name: str) -> int:
    """A type that the model did not report counts as an additional class."""
    return names.index(name.lower()) if name.lower() in names else len(names)


def summarise(records: Sequence[LaneRecord]) -> dict[str, Any]:
    correct, found, labelled = (sum(getattr(r, name) for r in records) for name in ("correct", "found", "labelled"))
    scores = np.array([pair for r in records for pair in r.scores]).reshape(-1, 2)
    types = _confusion([pair for r in records for pair in r.types], LINE_TYPES)
    colors = _confusion([pair for r in records for pair in r.colors], LINE_COLORS)
    gaps = [gap for r in records for gap in r.distances]
    return {
        "images": len(records),
        **f1(correct, found, labelled),
        "any_position": f1(sum(r.correct_any_position for r in records), found, labelled),
        "ego": f1(*np.sum([r.ego for r in records], 0).tolist()),
        "mean_distance_px": float(np.mean(gaps)) if gaps else None,
        "type_accuracy": accuracy_of(types),
        "color_accuracy": accuracy_of(colors),
        "type_confusion": types.tolist(),
        "color_confusion": colors.tolist(),
        "calibration_error": calibration_error(scores[:, 0], scores[:, 1]),
    }


def _confusion(pairs: list[tuple[int, int]], names: tuple[str, ...]) -> np.ndarray:
    predicted, actual = np.array(pairs, np.int64).reshape(-1, 2).T
    return confusion(predicted, actual, len(names) + 1)


def f1(correct: int, found: int, labelled: int) -> dict[str, Any]:
    """Precision, recall and their harmonic mean; None where the denominator is zero."""
    return {
        "f1": 2 * correct / (found + labelled) if found + labelled else None,
        "precision": correct / found if found else None,
        "recall": correct / labelled if labelled else None,
        "labelled": labelled,
    }
