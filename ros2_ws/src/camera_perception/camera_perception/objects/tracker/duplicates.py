"""Duplicates: several boxes of one object, or a box of a part of it."""

from __future__ import annotations

import numpy as np

from camera_perception.core.boxes import containment_matrix, iou_matrix
from camera_perception.objects.tracker.config import TrackerConfig

# What the compiled twin reads, in this order.
SETTINGS = "duplicate_iou", "weak_duplicate_iou", "weak_score_ratio", "part_overlap", "part_alignment"


def find_duplicates(
    boxes: np.ndarray,
    classes: np.ndarray,
    same: np.ndarray,
    order: np.ndarray,
    scores: np.ndarray,
    distinct_score: np.ndarray,
    config: TrackerConfig,
) -> np.ndarray:
    """(N,) bool: boxes whose object a better box shows already.

    boxes          (N, 4) x0 y0 x1 y1
    classes        (N,) indices into the table `same`, (C, C) bool, which tells whether two classes may be one object
    order          (N,) rows, better ones first
    scores         (N,) cars in a queue overlap as much as duplicates, but their scores are alike
    distinct_score (N,) score above which a box is not weak, unless the other one scores much more
    """
    boxes = boxes.astype(float)
    overlap = iou_matrix(boxes, boxes)
    touching = same[classes[:, None], classes] & (overlap > 0)
    np.fill_diagonal(touching, False)
    found = np.zeros(len(boxes), bool)
    rows = np.flatnonzero(touching.any(axis=1))  # few: all that follows is about these
    if not len(rows):
        return found
    rank = np.empty(len(boxes), int)
    rank[order] = np.arange(len(boxes))
    boxes, scores, ranks, weak_below = boxes[rows], scores[rows], rank[rows].tolist(), distinct_score[rows]
    overlap, touching = overlap[rows[:, None], rows], touching[rows[:, None], rows]
    weak = (scores[:, None] < config.weak_score_ratio * scores) | (scores < weak_below)[:, None]
    loose = (overlap > config.weak_duplicate_iou) | _parts(boxes, overlap, config)
    clash = touching & ((overlap > config.duplicate_iou) | (weak & loose))
    gone: set[int] = set()
    others = [each.nonzero()[0].tolist() for each in clash]
    for row in sorted((row for row, each in enumerate(others) if each), key=ranks.__getitem__):
        if any(ranks[other] < ranks[row] and other not in gone for other in others[row]):
            gone.add(row)
    found[rows[list(gone)]] = True
    return found


def _parts(boxes: np.ndarray, overlap: np.ndarray, config: TrackerConfig) -> np.ndarray:
    """(N, N) bool: one box lies in the other, and both stand at one height."""
    height = boxes[:, 3] - boxes[:, 1]
    offset = np.abs(boxes[:, 3, None] - boxes[:, 3])
    aligned = offset < config.part_alignment * np.minimum(height[:, None], height)
    return np.asarray(aligned & (containment_matrix(boxes, overlap) > config.part_overlap))
