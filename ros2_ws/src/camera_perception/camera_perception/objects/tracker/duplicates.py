"""Duplicates: several boxes of one object, or a box of a part of it."""

from __future__ import annotations

import numpy as np

from camera_perception.core.boxes import containment_matrix, iou_matrix
from camera_perception.objects.tracker.config import TrackerConfig


def find_duplicates(
    boxes: np.ndarray,
    same_class: np.ndarray,
    rank: np.ndarray,
    scores: np.ndarray,
    distinct_score: float | np.ndarray,
    config: TrackerConfig,
) -> np.ndarray:
    """(N,) bool: boxes whose object a better box shows already.

    boxes          (N, 4) x0 y0 x1 y1
    same_class     (N, N) bool, whether two classes may be one object
    rank           (N,) smaller is better
    scores         (N,) cars in a queue overlap as much as duplicates, but their scores are alike
    distinct_score score above which a box is not weak, unless the other one scores much more; one, or one per box
    """
    boxes = boxes.astype(float)
    overlap = iou_matrix(boxes, boxes)
    weak = (scores[:, None] < config.weak_score_ratio * scores[None]) | (scores < distinct_score)[:, None]
    loose = (overlap > config.weak_duplicate_iou) | _parts(boxes, config)
    clash = same_class & ((overlap > config.duplicate_iou) | (weak & loose))
    np.fill_diagonal(clash, False)
    found = np.zeros(len(boxes), bool)
    rows = np.flatnonzero(clash.any(axis=1))
    for row in rows[np.argsort(rank[rows], kind="stable")]:
        better = (rank < rank[row]) & ~found
        found[row] = (clash[row] & better).any()
    return found


def _parts(boxes: np.ndarray, config: TrackerConfig) -> np.ndarray:
    """(N, N) bool: one box lies in the other, and both stand at one height."""
    height = boxes[:, 3] - boxes[:, 1]
    offset = np.abs(boxes[:, 3, None] - boxes[None, :, 3])
    aligned = offset < config.part_alignment * np.minimum(height[:, None], height[None])
    return np.asarray(aligned & (containment_matrix(boxes, boxes) > config.part_overlap))
