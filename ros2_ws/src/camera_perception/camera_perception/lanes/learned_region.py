"""The own bonnet, learned from what never moves: an edge across the lower image that stays while all else changes.

The direction of the brightness gradient at a fixed edge is the same in every image; where the world passes by, it
averages out. A bonnet is what lies below such an edge, from border to border or down to the bottom row. Edges of the
road that stay, such as solid lane lines, are steep; the horizon is too high. Objects are reported there all the same:
should it once take the road for a bonnet, nobody on it is lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from camera_perception.lanes.ignored_region import IgnoredRegion, ignored_region

AUTO = "auto"
WIDTH = 160  # pixels of the images that are compared
FINEST = 4 * WIDTH  # pixels of the width that they are averaged from: others are skipped
PERIOD_NS = 200_000_000  # between images that are looked at
CELLS = (8, 6)  # width, height of the grid that tells whether the world has changed
CELL_CHANGE = 5.0  # mean difference of a cell's pixels, of 255
CHANGED = 0.3  # fraction of cells that differ from the last sample, before an image is another sample
NOISE = 6.0  # gradient that counts as half an edge, of 255 per pixel; less where it is darker than BRIGHT
BRIGHT, DARKEST = 80.0, 0.4  # grey level; smallest share of NOISE
REMEMBERED = 100  # samples
TOP = 0.65  # fraction of the image's height above which no bonnet begins
MAX_RISE = 0.2  # of the edge, fraction of the height
STEEPEST = 0.6  # horizontal to vertical gradient
EDGE_WIDTH = 4  # rows that the smoothed edge itself covers
BEND = 0.02  # price of a step up or down, in persistence
CLEAR = 0.65  # persistence from which edges are alike: the dark one of a blade and the bright one of the bonnet below
BOTTOM = 0.25  # persistence that the bottom row counts as: the bonnet may not be as wide as the image
MARGIN = 1, 3  # rows, columns of the small image by which a bonnet grows: blades, mirrors, a shaking edge


@dataclass(frozen=True, slots=True)
class EdgeLimits:
    """What an edge must be to be a bonnet's.

    samples  images of a changed world
    width    of the image's
    present  fraction of the edge's columns with a persistence above 0.5
    mean     persistence along the edge, 0..1
    still    largest part of all edges above it that persist, too: while the car stands everything does
    """

    samples: int = 20
    width: float = 0.4
    present: float = 0.9
    mean: float = 0.7
    still: float = 0.62


class LearnedRegion:
    """Learns the region from one camera's images.

    given   is ignored, too, from the first image on
    region  `given` until an edge has been found, and again when it is found no longer
    """

    def __init__(self, given: IgnoredRegion | None = None, limits: EdgeLimits | None = None) -> None:
        self.limits, self.given = limits or EdgeLimits(), given
        self.region = given
        self.samples = 0
        self._last: np.ndarray | None = None
        self._last_ns = -PERIOD_NS
        self._mean = np.zeros(0)
        self._lengths = np.zeros(0)

    def update(self, image: np.ndarray, stamp_ns: int | None = None) -> IgnoredRegion | None:
        """The region after an image (H, W, 3) uint8 BGR; with its time, images between PERIOD_NS are passed over."""
        if stamp_ns is not None:
            if abs(stamp_ns - self._last_ns) < PERIOD_NS:
                return self.region
            self._last_ns = stamp_ns
        small = shrunk(image)
        if self._last is not None and self._last.shape != small.shape:
            self._last, self.samples, self.region = None, 0, self.given  # another camera
        if self._last is None or changed_fraction(small, self._last) >= CHANGED:
            self._add(small)
        return self.region

    @property
    def text(self) -> str:
        """What was learned, as a sentence."""
        if self.region is not None and self.region is not self.given:
            return f"own bonnet found: with it, {self.region.mask.mean():.0%} of the image is ignored"
        needed = self.limits.samples
        few = f", {needed} are needed" if self.samples < needed else ""
        return f"no own bonnet found in {self.samples} images of a changed world{few}: nothing more is ignored"

    def _add(self, small: np.ndarray) -> None:
        self._last, self.samples = small, self.samples + 1
        directions = gradient_directions(small)
        if self.samples == 1:
            self._mean, self._lengths = np.zeros_like(directions), np.zeros_like(small, np.float32)
        weight = 1 / min(self.samples, REMEMBERED)
        self._mean += (directions - self._mean) * weight
        self._lengths += (np.hypot(*directions) - self._lengths) * weight
        if self.samples >= self.limits.samples and self.samples % 5 == 0:
            edge = bonnet_edge(self._mean, self.limits)
            if edge is not None and still_part(self._mean, self._lengths, edge) > self.limits.still:
                edge = None
            self.region = self.given if edge is None else self._joined(below(edge, small.shape[0]))

    def _joined(self, bonnet: np.ndarray) -> IgnoredRegion:
        shape = bonnet.shape[0], bonnet.shape[1]
        given = np.zeros_like(bonnet) if self.given is None else self.given.cells(shape)
        return IgnoredRegion(bonnet | given, hides=given)


def shrunk(image: np.ndarray) -> np.ndarray:
    """(h, WIDTH) uint8: the green of an image (H, W, 3)."""
    step = max(1, image.shape[1] // FINEST)
    height = max(8, round(WIDTH * image.shape[0] / image.shape[1]))
    green = np.ascontiguousarray(image[::step, ::step, 1])
    return cv2.resize(green, (WIDTH, height), interpolation=cv2.INTER_AREA)


def changed_fraction(small: np.ndarray, before: np.ndarray) -> float:
    """Fraction of cells that differ between two grey images (h, w) uint8."""
    cells = cv2.resize(cv2.absdiff(small, before).astype(np.float32), CELLS, interpolation=cv2.INTER_AREA)
    return float(np.mean(cells > CELL_CHANGE))


def gradient_directions(small: np.ndarray) -> np.ndarray:
    """(2, h, w) float32: x and y of the gradient, of length near 1 at edges and near 0 elsewhere."""
    smooth = cv2.GaussianBlur(small.astype(np.float32), (0, 0), 1.0)
    gradient = np.stack([cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)]) / 4
    noise = NOISE * np.clip(cv2.GaussianBlur(smooth, (0, 0), 4.0) / BRIGHT, DARKEST, 1)
    directions: np.ndarray = gradient / (np.hypot(*gradient) + noise)
    return directions


def bonnet_edge(mean: np.ndarray, limits: EdgeLimits) -> np.ndarray | None:
    """(w,) row of the edge in each column, h - 1 where there is none; None when no edge is a bonnet's.

    mean  (2, h, w) mean of gradient_directions
    """
    height = mean.shape[1]
    across, persistence = np.abs(mean)
    persistence = np.where(across <= STEEPEST * persistence, persistence, 0.0)
    top = int(TOP * height)
    rough = most_persistent_path(np.minimum(persistence[top:], CLEAR))
    near = np.abs(np.arange(height - top)[:, None] - rough) <= EDGE_WIDTH // 2
    edge = top + most_persistent_path(np.where(near, persistence[top:], 0))
    there = edge < height - 1
    along = persistence[edge, np.arange(edge.size)][there]
    if there.mean() < limits.width or along.mean() < limits.mean or (along > 0.5).mean() < limits.present:
        return None
    return edge if np.ptp(edge[there]) <= MAX_RISE * height else None


def still_part(mean: np.ndarray, lengths: np.ndarray, edge: np.ndarray) -> float:
    """How much of the edges above a bonnet's stays, 0..1.

    mean     (2, h, w) mean of gradient_directions; lengths (h, w) mean of their lengths
    """
    above = np.arange(lengths.shape[0])[:, None] < edge - EDGE_WIDTH
    return float(np.hypot(*mean)[above].sum() / max(1e-9, lengths[above].sum()))


def most_persistent_path(persistence: np.ndarray) -> np.ndarray:
    """(w,) row of the path from left to right with the highest sum, one row up or down per column at most."""
    rows, columns = persistence.shape
    gain = persistence.copy()
    gain[-1] = np.maximum(gain[-1], BOTTOM)
    steps, choices = np.zeros((columns, rows), int), np.full((3, rows), -np.inf)
    total = gain[:, 0]
    for column in range(1, columns):
        choices[0, 1:], choices[1], choices[2, :-1] = total[:-1] - BEND, total, total[1:] - BEND
        choices.argmax(axis=0, out=steps[column])
        total = choices.max(axis=0) + gain[:, column]
    path = np.zeros(columns, int)
    path[-1] = int(total.argmax())
    for column in range(columns - 1, 0, -1):
        path[column - 1] = path[column] + steps[column, path[column]] - 1
    return path


def below(edge: np.ndarray, height: int) -> np.ndarray:
    """(height, w) bool: what lies below an edge, widened by MARGIN on every side.

    edge  (w,) row of the edge in each column, height - 1 where there is none
    """
    region = (np.arange(height)[:, None] >= edge) & (edge < height - 1)
    near = np.ones((2 * MARGIN[0] + 1, 2 * MARGIN[1] + 1), np.uint8)
    return np.asarray(cv2.dilate(region.astype(np.uint8), near) > 0)


def region_of(descriptions: Iterable[str]) -> IgnoredRegion | LearnedRegion | None:
    """The regions that ignored_region describes; with "auto" among them, the learned bonnet, too."""
    texts = [text.strip() for text in descriptions]
    given = ignored_region(text for text in texts if text != AUTO)
    return LearnedRegion(given) if AUTO in texts else given
