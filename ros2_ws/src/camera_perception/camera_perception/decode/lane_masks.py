"""Lane heads of public models: a mask of lane markings, traced to lines without type and colour.

roles    logits (1, h, w) score of "marking", or (2, h, w) scores of background and marking
options  probabilities: true when the scores are 0..1; default: false (logits)
The score of a line is the mean probability of "marking" along it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from camera_perception.core.model_spec import HeadSpec
from camera_perception.core.types import LaneLine, Task
from camera_perception.decode import Part
from camera_perception.decode.heads import Shapes, expect, expect_shape
from camera_perception.image.letterbox import Letterbox
from camera_perception.lanes.image_lines import assign_positions, inside_image

ROW_STEP = 4  # mask rows between scans
MAX_RUN_WIDTH = 0.15  # of the mask's width; wider runs are stop lines, crossings or noise
MAX_RUNS = 32  # per scan; rows with more are noise
MAX_OFFSET = 0.02  # of the mask's width, between a run and the predicted position of a line
MAX_GAP = 0.2  # of the mask's height, between dashes
MIN_LENGTH = 0.08  # of the mask's height
MIN_HITS = 3  # before a line is confirmed and may have gaps
SLOPE_HITS = 10  # latest hits that define the slope


@dataclass(slots=True)
class Trace:
    """A line being traced from the bottom up: x and y of its centre in mask pixels, one entry per hit."""

    x: list[float]
    y: list[float]
    slope: float = 0.0  # x per y

    def add(self, x: float, y: float) -> None:
        self.x.append(x)
        self.y.append(y)
        if len(self.x) >= MIN_HITS:
            xs, ys = np.array(self.x[-SLOPE_HITS:]), np.array(self.y[-SLOPE_HITS:])
            ys -= ys.mean()
            self.slope = float(ys @ xs / (ys @ ys))

    def expected_x(self, y: float) -> float:
        """Linear extrapolation from the last hit."""
        return self.x[-1] + self.slope * (y - self.y[-1])

    def alive(self, y: float, height: int) -> bool:
        gap = MAX_GAP * height if len(self.y) >= MIN_HITS else 2 * ROW_STEP
        return self.y[-1] - y <= gap


def trace(mask: np.ndarray) -> list[np.ndarray]:
    """Trace the markings of a mask (h, w) bool from the bottom up.

    returns one (P, 2) float array per line, x y in mask pixels, near to far. Dashes are connected; lines that meet stay
            separate.
    """
    height, width = mask.shape
    traces: list[Trace] = []
    for row in range(height - 1 - ROW_STEP // 2, -1, -ROW_STEP):
        runs = _runs(mask[row])
        if len(runs):
            y = row + 0.5
            created = _extend([line for line in traces if line.alive(y, height)], runs, y, MAX_OFFSET * width)
            traces.extend(created)
    long_enough = [t for t in traces if len(t.y) >= MIN_HITS and t.y[0] - t.y[-1] >= MIN_LENGTH * height]
    return [np.column_stack((t.x, t.y)) for t in long_enough]


def _runs(row: np.ndarray) -> np.ndarray:
    """Centres of the narrow runs of True in one row; empty when there are too many."""
    edges = np.flatnonzero(np.diff(row.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    narrow = edges[edges[:, 1] - edges[:, 0] <= MAX_RUN_WIDTH * len(row)]
    return narrow.mean(axis=1) if 0 < len(narrow) <= MAX_RUNS else np.zeros(0)


def _extend(lines: list[Trace], runs: np.ndarray, y: float, max_offset: float) -> list[Trace]:
    """Assign each run to the line with the closest prediction; return new lines for unassigned runs."""
    expected = np.array([line.expected_x(y) for line in lines])
    max_offsets = np.array([max_offset + (line.y[-1] - y) / 2 for line in lines])
    distances = np.abs(expected[:, None] - runs)
    candidates = np.argwhere(distances <= max_offsets[:, None])
    free_lines, free_runs = set(range(len(lines))), set(range(len(runs)))
    for line, run in candidates[np.argsort(distances[tuple(candidates.T)], kind="stable")].tolist():
        if line in free_lines and run in free_runs:
            free_lines.remove(line)
            free_runs.remove(run)
            lines[line].add(float(runs[run]), y)
    return [Trace([float(runs[run])], [y]) for run in sorted(free_runs)]


def check(head: HeadSpec, shapes: Shapes) -> None:
    expect_shape(head, shapes, "logits", "1 or 2", "h", "w")
    planes = shapes["logits"][1]
    expect(planes in (1, 2), head, f"'logits' has {planes} planes: expected marking, or background and marking")


def decode(arrays: Mapping[str, np.ndarray], head: HeadSpec, letterbox: Letterbox, threshold: float) -> Part:
    marking = _probability(arrays["logits"].astype(np.float32), head.options.get("probabilities", False))
    lines = (_line(points, marking, letterbox) for points in trace(marking > 0.5))
    good = [line for line in lines if len(line.points) >= 2 and line.score >= threshold]
    return Part(Task.LANES, lanes=assign_positions(good, letterbox.image_size))


def _probability(scores: np.ndarray, are_probabilities: bool) -> np.ndarray:
    """(1 or 2, h, w) scores -> (h, w) probability of marking."""
    if are_probabilities:
        probability: np.ndarray = scores[-1]
        return probability
    with np.errstate(over="ignore", invalid="ignore"):
        probability = 1 / (1 + np.exp(-(scores[-1] - (scores[0] if len(scores) == 2 else 0))))
    return probability


def _line(points: np.ndarray, marking: np.ndarray, letterbox: Letterbox) -> LaneLine:
    """Convert a traced line to source pixels."""
    score = marking[points[:, 1].astype(int), points[:, 0].astype(int)].mean()
    in_input = points * letterbox.input_size[::-1] / marking.shape[::-1]
    in_image = letterbox.image_from_input(in_input).astype(np.float32)
    return LaneLine(in_image[inside_image(in_image, letterbox.image_size)], float(min(score, 1.0)))
