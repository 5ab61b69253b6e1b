"""Lane heads of public models: per pixel, marking or not. The lines are traced; type and colour stay unknown.

roles    logits (1, h, w) score of "marking", or (2, h, w) scores of background and marking
options  probabilities: true when the scores are 0..1 already, false (logits) when not given
The score of a line is the mean probability of "marking" along it.

From a mask of lane markings to lines.
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

STEP = 4  # mask rows from one scan to the next
WIDEST = 0.15  # of the mask's width; wider runs are stop lines, crossings, or noise
MOST = 32  # runs in a scan; a row with more is noise
REACH = 0.02  # of the mask's width: how far a line may be from where it was expected
LONGEST_GAP = 0.2  # of the mask's height: the gap between dashes
SHORTEST = 0.08  # of the mask's height
YOUNG = 3  # hits after which a line is believed and may have gaps
TREND = 10  # hits that tell where a line is heading


@dataclass(slots=True)
class Trace:
    """A line while it is followed from the bottom up: x and y of its middle in mask pixels, one entry per hit."""

    x: list[float]
    y: list[float]
    slope: float = 0.0  # x per y

    def add(self, x: float, y: float) -> None:
        self.x.append(x)
        self.y.append(y)
        if len(self.x) >= YOUNG:
            xs, ys = np.array(self.x[-TREND:]), np.array(self.y[-TREND:])
            ys -= ys.mean()
            self.slope = float(ys @ xs / (ys @ ys))

    def expected_x(self, y: float) -> float:
        """Straight on from the last hit."""
        return self.x[-1] + self.slope * (y - self.y[-1])

    def alive(self, y: float, height: int) -> bool:
        gap = LONGEST_GAP * height if len(self.y) >= YOUNG else 2 * STEP
        return self.y[-1] - y <= gap


def trace(mask: np.ndarray) -> list[np.ndarray]:
    """Follow the markings of a mask (h, w) bool from the bottom up.

    returns one (P, 2) float array per line, x y in mask pixels, near to far. Dashes are joined, meeting lines stay two.
    """
    height, width = mask.shape
    traces: list[Trace] = []
    for row in range(height - 1 - STEP // 2, -1, -STEP):
        runs = _runs(mask[row])
        if len(runs):
            y = row + 0.5
            begun = _extend([line for line in traces if line.alive(y, height)], runs, y, REACH * width)
            traces.extend(begun)
    long = [t for t in traces if len(t.y) >= YOUNG and t.y[0] - t.y[-1] >= SHORTEST * height]
    return [np.column_stack((t.x, t.y)) for t in long]


def _runs(row: np.ndarray) -> np.ndarray:
    """Middles of the narrow runs of True in one row; none when there are too many."""
    edges = np.flatnonzero(np.diff(row.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    narrow = edges[edges[:, 1] - edges[:, 0] <= WIDEST * len(row)]
    return narrow.mean(axis=1) if 0 < len(narrow) <= MOST else np.zeros(0)


def _extend(lines: list[Trace], runs: np.ndarray, y: float, reach: float) -> list[Trace]:
    """Give each run to the line that expects it most closely; what nobody expects begins a line: those are returned."""
    expected = np.array([line.expected_x(y) for line in lines])
    reaches = np.array([reach + (line.y[-1] - y) / 2 for line in lines])
    distances = np.abs(expected[:, None] - runs)
    near = np.argwhere(distances <= reaches[:, None])
    free_lines, free_runs = set(range(len(lines))), set(range(len(runs)))
    for which, at in near[np.argsort(distances[tuple(near.T)], kind="stable")].tolist():
        if which in free_lines and at in free_runs:
            free_lines.remove(which)
            free_runs.remove(at)
            lines[which].add(float(runs[at]), y)
    return [Trace([float(runs[at])], [y]) for at in sorted(free_runs)]


def check(head: HeadSpec, shapes: Shapes) -> None:
    expect_shape(head, shapes, "logits", "1 or 2", "h", "w")
    planes = shapes["logits"][1]
    expect(planes in (1, 2), head, f"'logits' has {planes} planes: expected marking, or background and marking")


def decode(arrays: Mapping[str, np.ndarray], head: HeadSpec, letterbox: Letterbox, threshold: float) -> Part:
    marking = _probability(arrays["logits"].astype(np.float32), head.options.get("probabilities", False))
    lines = (_line(points, marking, letterbox) for points in trace(marking > 0.5))
    good = [line for line in lines if len(line.points) >= 2 and line.score >= threshold]
    return Part(Task.LANES, lanes=assign_positions(good, letterbox.image_size))


def _probability(scores: np.ndarray, final: bool) -> np.ndarray:
    """(1 or 2, h, w) scores -> (h, w) probability of marking."""
    if final:
        return scores[-1]
    with np.errstate(over="ignore", invalid="ignore"):
        return 1 / (1 + np.exp(-(scores[-1] - (scores[0] if len(scores) == 2 else 0))))


def _line(points: np.ndarray, marking: np.ndarray, letterbox: Letterbox) -> LaneLine:
    """Mask pixels to source pixels."""
    score = marking[points[:, 1].astype(int), points[:, 0].astype(int)].mean()
    in_input = points * letterbox.input_size[::-1] / marking.shape[::-1]
    in_image = letterbox.image_from_input(in_input).astype(np.float32)
    return LaneLine(in_image[inside_image(in_image, letterbox.image_size)], float(min(score, 1.0)))
