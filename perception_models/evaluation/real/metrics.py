"""The metrics of the benchmark as plain functions of outputs and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from camera_perception.core.boxes import iou_matrix
from perception_models.data.labels import IGNORE, SEMANTIC
from perception_models.evaluation.metrics.scores import calibration_error, confusion, iou_of

MATCH = 0.5  # IoU
CONFIRMED = 0.7  # IoU of a component with a detected box; at 0.5 components of two cars passed
INSIDE = 0.5  # fraction of a finding inside an ignored box, above which it is no error
FALSE_PER_PICTURE = 0.5
COUNTED = 0.1  # score from which calibration is measured: hundreds of lower ones would decide alone
FALSE, NEUTRAL = -1, -2
REPORTED = 1.0  # of scores as multiples of the score at which a box is reported
# Of the image width: distance from the smooth fit. Smooth lines stay below 4 px of 640, those that jump reach 5 to 85.
JUMP = 5 / 640
LEAST_POINTS = 6  # of a line whose smoothness can be judged
HORIZONS = (4, 8, 16, 32, 64, 128)  # pixels of 640 above a line's far end
PHANTOM = 0.5  # fraction of points off the road
ROAD_MARGIN = 0.02  # of the image width, around the road: curbs and the lines at its border


@dataclass(frozen=True)
class Judged:
    """The findings of one kind on one picture.

    heights  (T,) pixels, of the targets
    scores   (N,) falling
    hits     (N,) index of the target, FALSE or NEUTRAL
    """

    heights: np.ndarray
    scores: np.ndarray
    hits: np.ndarray

    def found(self, threshold: float) -> np.ndarray:
        """(T,) which targets have a finding of at least this score."""
        hits = self.hits[self.scores >= threshold]
        return np.isin(np.arange(len(self.heights)), hits)

    def false(self, threshold: float) -> int:
        return int(((self.hits == FALSE) & (self.scores >= threshold)).sum())


def judge(
    boxes: np.ndarray, scores: np.ndarray, targets: np.ndarray, ignored: np.ndarray, match: float = MATCH
) -> Judged:
    """Match findings with targets, surest first, each target once; all boxes (N, 4) x0 y0 x1 y1."""
    order = np.argsort(-scores, kind="stable")
    overlap = iou_matrix(boxes[order], targets)
    neutral = _inside(boxes[order], ignored).max(1, initial=0) >= INSIDE
    hits = np.where(neutral, NEUTRAL, FALSE)
    free = np.ones(len(targets), bool)
    for row, values in enumerate(np.where(overlap >= match, overlap, 0)):
        candidates = values * free
        if candidates.any():
            hits[row] = int(candidates.argmax())
            free[hits[row]] = False
    return Judged(targets[:, 3] - targets[:, 1], scores[order], hits)


def _inside(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(N, M) fraction of each box inside each other box."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return np.asarray((high - low).clip(0).prod(2) / np.maximum(area, 1e-9)[:, None])


def threshold_at(judged: Sequence[Judged], per_picture: float = FALSE_PER_PICTURE) -> float:
    """Lowest score that gives at most this number of false findings a picture."""
    scores = np.concatenate([each.scores[each.hits == FALSE] for each in judged])
    allowed = int(per_picture * len(judged))
    return float(np.nextafter(np.sort(scores)[-allowed - 1], np.inf)) if len(scores) > allowed else 0.0


def recall(judged: Sequence[Judged], threshold: float, min_height: float = 0.0) -> tuple[int, int]:
    """Number of targets found, and of all, at least this high."""
    pairs = [(each.found(threshold), each.heights >= min_height) for each in judged]
    return sum(int((found & large).sum()) for found, large in pairs), sum(int(large.sum()) for _, large in pairs)


def false_per_picture(judged: Sequence[Judged], threshold: float) -> float:
    return sum(each.false(threshold) for each in judged) / max(len(judged), 1)


def score_error(judged: Sequence[Judged]) -> float | None:
    """Expected calibration error of the scores from COUNTED on; None where there are none."""
    scores, correct = counted_scores(judged)
    return calibration_error(scores, correct)


def counted_scores(judged: Sequence[Judged]) -> tuple[np.ndarray, np.ndarray]:
    """(N,) scores from COUNTED on that are hits or errors, and which are hits."""
    scores = np.concatenate([np.zeros(0), *(each.scores for each in judged)])
    hits = np.concatenate([np.zeros(0, int), *(each.hits for each in judged)])
    rows = (scores >= COUNTED) & (hits != NEUTRAL)
    return scores[rows], hits[rows] >= 0


def verified(
    components: np.ndarray, found: np.ndarray, ignored: np.ndarray, match: float = CONFIRMED
) -> tuple[np.ndarray, np.ndarray]:
    """Targets and ignored boxes of components, given those of a detector.

    A component that the detector confirms is one object and a target. What only one of the two sees is ignored.
    """
    overlap = iou_matrix(components, found) >= match
    confirmed, confirming = overlap.any(1), overlap.any(0)
    return components[confirmed], np.concatenate([components[~confirmed], found[~confirming], ignored])


def hood_share(road: np.ndarray, rows: float, mask: np.ndarray | None) -> tuple[int, int]:
    """Pixels of the own car called drivable, and all of them, in this fraction of the rows at the bottom.

    road  (h, w) 1 drivable
    mask  (H, W) labels in which the own car is 255 at the bottom; None: it fills these rows
    """
    if mask is not None:
        road = cv2.resize(road, mask.shape[::-1], interpolation=cv2.INTER_NEAREST)
    first = road.shape[0] - max(round(rows * road.shape[0]), 1)
    own = np.ones_like(road[first:], bool) if mask is None else mask[first:] == IGNORE
    return int(((road[first:] == 1) & own).sum()), int(own.sum())


def class_counts(found: np.ndarray, labelled: np.ndarray, classes: int) -> np.ndarray:
    """(classes + 1, classes + 1) pixel counts, rows are labels; the last column counts ids without label."""
    resized = cv2.resize(found, labelled.shape[::-1], interpolation=cv2.INTER_NEAREST)
    known = labelled != IGNORE
    return confusion(np.minimum(resized[known], classes), labelled[known], classes + 1)


def mean_iou(counts: np.ndarray) -> float:
    """Mean over the labelled classes; nan without any."""
    iou = iou_of(counts)[:-1]
    return float(np.nanmean(iou)) if np.isfinite(iou).any() else float("nan")


def road_labels(semantic: np.ndarray) -> np.ndarray:
    """Road labels (1, 0, 255 unknown) of a semantic mask."""
    known = semantic != IGNORE
    return np.where(known, semantic == SEMANTIC.index("road"), IGNORE).astype(np.uint8)


def jump(points: np.ndarray, width: int) -> float:
    """Largest distance of a line from a smooth road line, as a fraction of the image width; 0 when it is too short.

    points (P, 2) pixels. A line y = c0 + c1 x + c2 x^2 on a flat road is u = a + b v + d / (v - horizon) in the image;
    the fit takes the best of several horizons above the far end.
    """
    if len(points) < LEAST_POINTS:
        return 0.0
    u, v = (points * 640 / width).T.astype(float)
    return min(_worst_residual(u, v, v.min() - above) for above in HORIZONS) / 640


def _worst_residual(u: np.ndarray, v: np.ndarray, horizon: float) -> float:
    near = v - horizon
    columns = np.stack([np.ones_like(v), near / near.max(), near.min() / near], 1)
    weights = np.linalg.lstsq(columns, u, rcond=None)[0]
    fitted = columns @ weights
    slopes = np.gradient(fitted, v)
    return float((np.abs(u - fitted) / np.hypot(1, slopes)).max())


def is_phantom(points: np.ndarray, road: np.ndarray, size: tuple[int, int]) -> bool | None:
    """Whether most of a line runs where no road is; None when fewer than half of its points are on known pixels.

    points  (P, 2) pixels of an image of size (height, width)
    road    (h, w) 1 road, 0 other, 255 unknown, covering the image
    """
    radius = max(round(ROAD_MARGIN * road.shape[1]), 1)
    kernel = np.ones((2 * radius + 1,) * 2, np.uint8)
    near_road = cv2.dilate((road == 1).astype(np.uint8), kernel)
    cells = np.floor(points * (road.shape[1] / size[1], road.shape[0] / size[0])).astype(int)
    columns, rows = cells.clip(0, (road.shape[1] - 1, road.shape[0] - 1)).T
    known = (road[rows, columns] != IGNORE) | (near_road[rows, columns] == 1)
    if known.sum() < len(points) / 2:
        return None
    return bool((near_road[rows, columns][known] == 0).mean() > PHANTOM)
