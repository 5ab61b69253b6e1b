"""Association: which detection belongs to which track, by overlap in the image, distance on the road, and class.

Two stages as in ByteTrack (Zhang et al. 2022): high-score detections first, then low-score ones for the tracks left.
"""

from __future__ import annotations

from operator import attrgetter

import numpy as np

from camera_perception import core
from camera_perception.core.assignment import INFEASIBLE, match
from camera_perception.core.boxes import iou_matrix
from camera_perception.core.types import Edge, Objects
from camera_perception.objects.tracker.config import TrackerConfig
from camera_perception.objects.tracker.tracks import Tracks

# Plain numbers: with members of an enum, numpy takes ten times as long.
LEFT, RIGHT, SIDES = int(Edge.LEFT), int(Edge.RIGHT), int(Edge.LEFT | Edge.RIGHT)
# Networks confuse classes of one group, and no others.
CONFUSABLE = (
    {"car", "truck", "bus", "train", "van"},
    {"pedestrian", "person", "rider"},
    {"bicycle", "motorcycle", "rider"},
)
# Overlapping boxes of a rider and a bicycle are two objects, those of a car and a van are one.
DUPLICATE = (CONFUSABLE[0], CONFUSABLE[1], {"bicycle", "motorcycle"})


def compatible_classes(names: tuple[str, ...], groups: tuple[set[str], ...] = CONFUSABLE) -> np.ndarray:
    """(C, C) bool: classes that may be one object, detected at different times."""
    pairs = [[a == b or any({a, b} <= group for group in groups) for b in names] for a in names]
    return np.array(pairs, bool).reshape(len(names), len(names))


def mahalanobis(a: np.ndarray, a_cov: np.ndarray, b: np.ndarray, b_cov: np.ndarray) -> np.ndarray:
    """(N, 2), (N, 2, 2) and (M, 2), (M, 2, 2) -> (N, M) squared distances; nan where a position is unknown."""
    x, y = (a[:, axis, None] - b[None, :, axis] for axis in (0, 1))
    xx, xy, yy = (a_cov[:, i, j, None] + b_cov[None, :, i, j] for i, j in ((0, 0), (0, 1), (1, 1)))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((yy * x * x - 2 * xy * x * y + xx * y * y) / (xx * yy - xy * xy))


def associate(
    tracks: Tracks,
    objects: Objects,
    high_scores: np.ndarray,
    config: TrackerConfig,
    compatible: np.ndarray,
    size: tuple[int, int] | None,
) -> tuple[np.ndarray, int]:
    """The row of the track of each object (N,), and how many tracks objects start: their rows follow those that there
    are. -1: the object neither has a track nor scores enough to start one.

    high_scores (C,) float32, scores from which detections of each class are matched first
    compatible  (C, C) bool, classes that may be one object
    size        (height, width) of the image, when known
    """
    if core.kernels is not None:
        row_of, (height, width) = np.empty(len(objects.scores), np.int64), size or (-1, -1)
        new = core.kernels.match_tracks(
            compatible, high_scores, _matched_tracks(tracks), _matched_objects(objects),
            core.settings(config, *SETTINGS), height, width, row_of,
        )  # fmt: skip
        return row_of, new
    row_of, high = np.full(len(objects), -1), high_scores.take(objects.classes, mode="clip")
    rows, columns = _pairs(tracks, objects, high, config, compatible, size)
    row_of[columns] = rows
    starting = ((row_of < 0) & (objects.scores >= config.init_score_factor * high)).nonzero()[0]
    row_of[starting] = np.arange(len(tracks), len(tracks) + len(starting))
    return row_of, len(starting)


# What the compiled twin reads: settings, columns of tracks, columns of objects, each in this order.
SETTINGS = (
    "image_motion_hits", "border_overlap", "unknown_distance", "gate", "max_gate", "min_iou", "class_change_cost",
    "low_score_min_iou", "init_score_factor",
)  # fmt: skip
_matched_tracks = attrgetter("box", "last_box", "hits", "votes", "state", "state_cov", "bias")
_matched_objects = attrgetter("boxes", "positions", "position_covs", "truncated", "classes", "scores")


def _pairs(
    tracks: Tracks,
    objects: Objects,
    high_score: np.ndarray,
    config: TrackerConfig,
    compatible: np.ndarray,
    size: tuple[int, int] | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of tracks and rows of objects that belong together; objects from high_score (N,) are matched first."""
    cost, overlap = _matching_cost(tracks, objects, config, compatible, size)
    is_high, is_low = objects.scores >= high_score, objects.scores < high_score
    high, low = is_high.nonzero()[0], is_low.nonzero()[0]
    rows, columns = match(cost if len(high) == len(objects) else cost[:, high])
    columns = high[columns]
    if not len(low):
        return rows, columns
    unmatched = np.ones(len(tracks), bool)
    unmatched[rows] = False
    free = unmatched.nonzero()[0]
    cost[overlap < config.low_score_min_iou] = INFEASIBLE
    more_rows, more_columns = match(cost[np.ix_(free, low)])
    return np.concatenate((rows, free[more_rows])), np.concatenate((columns, low[more_columns]))


def _matching_cost(
    tracks: Tracks, objects: Objects, config: TrackerConfig, compatible: np.ndarray, size: tuple[int, int] | None
) -> tuple[np.ndarray, np.ndarray]:
    """(T, N) costs, and (T, N) overlaps."""
    boxes, count = tracks.boxes, len(tracks)
    young = (tracks.hits <= config.image_motion_hits).nonzero()[0]  # it may move along with us, or be stationary
    overlap = _overlap(np.concatenate((boxes, tracks.last_box[young])), objects, config, size)
    if len(young):
        overlap, of_young = overlap[:count], overlap[count:]
        overlap[young] = np.maximum(overlap[young], of_young)
    positions, covs = objects.positions.astype(float), objects.position_covs.astype(float)
    distance = mahalanobis(tracks.state, tracks.position_covs, positions, covs)
    known = np.isfinite(distance)
    distance = np.where(known, distance, config.unknown_distance)
    close = known & (distance < config.gate) & _similar_boxes(boxes, objects.boxes.astype(float))
    classes = tracks.classes[:, None]
    other_classes = np.minimum(np.maximum(objects.classes, 0), len(compatible) - 1)
    cost = 1 - overlap + 0.05 * np.minimum(distance, 20.0) + config.class_change_cost * (classes != other_classes)
    possible = (close | (overlap > config.min_iou)) & compatible[classes, other_classes]
    possible &= (distance < config.max_gate) | (overlap > 0.5)
    return np.where(possible, cost, INFEASIBLE), overlap


def _similar_boxes(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, M) bool: boxes of about one size whose centres are less than two sizes apart."""
    a_size, b_size = (np.sqrt(np.maximum((c[:, 2] - c[:, 0]) * (c[:, 3] - c[:, 1]), 1e-6)) for c in (a, b))
    a_middle, b_middle = ((c[:, :2] + c[:, 2:]) / 2 for c in (a, b))
    offset = np.square(a_middle[:, None] - b_middle)
    small, large = np.minimum(a_size[:, None], b_size), np.maximum(a_size[:, None], b_size)
    return np.asarray((offset[..., 0] + offset[..., 1] < 4 * large * large) & (large < 1.7 * small))


def _overlap(boxes: np.ndarray, objects: Objects, config: TrackerConfig, size: tuple[int, int] | None) -> np.ndarray:
    """(T, N) overlap of the parts of track boxes inside the image with the boxes of objects."""
    others = objects.boxes.astype(float)
    if size is None:
        return iou_matrix(boxes, others)
    height, width = size
    overlap = iou_matrix(np.clip(boxes, 0, (width, height, width, height)), others)
    cut = (objects.truncated & SIDES).nonzero()[0]
    if len(cut):
        at_border = _border_overlap(boxes, others[cut], objects.truncated[cut], width, config.border_overlap)
        overlap[:, cut] = np.maximum(overlap[:, cut], at_border)
    return overlap


def _border_overlap(
    boxes: np.ndarray, others: np.ndarray, truncated: np.ndarray, width: int, full: float
) -> np.ndarray:
    """(T, N) overlap of heights alone, up to `full`, for boxes that enter or leave at the left or right border."""
    shared = np.minimum(boxes[:, None, 3], others[None, :, 3]) - np.maximum(boxes[:, None, 1], others[None, :, 1])
    height = np.minimum((boxes[:, 3] - boxes[:, 1])[:, None], (others[:, 3] - others[:, 1])[None])
    inside = (boxes[:, 2] > 0) & (boxes[:, 0] < width)
    weight = np.where(inside, full, full / 2)
    near = _near_border(boxes, width, truncated)
    return np.where(near, weight[:, None] * np.clip(shared / np.maximum(height, 1e-6), 0, 1), 0.0)


def _near_border(boxes: np.ndarray, width: int, truncated: np.ndarray) -> np.ndarray:
    """(T, N) bool: a box is within its own width of the border that truncates the other one."""
    margin = boxes[:, 2] - boxes[:, 0]
    left = (boxes[:, 0] < margin) & (boxes[:, 2] > -margin)
    right = (boxes[:, 2] > width - margin) & (boxes[:, 0] < width + margin)
    at_left, at_right = (truncated & LEFT) != 0, (truncated & RIGHT) != 0
    return np.asarray((left[:, None] & at_left) | (right[:, None] & at_right))
