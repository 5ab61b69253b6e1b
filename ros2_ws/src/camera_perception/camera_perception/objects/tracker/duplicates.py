"""Boxes that show one thing twice: the same one drawn again, or a part of it."""

from __future__ import annotations

import numpy as np

from camera_perception.core.boxes import containment_matrix, iou_matrix

SAME = 0.75  # overlap from which on two boxes show one thing
# Overlap that is enough when one scores less than this share of the other, or both are doubtful. Of doubtful boxes of
# one kind that overlap by more, nine in ten are doubles on rendered drives; two sure ones are cars in a queue.
TWIN, WEAKER = 0.3, 0.8
PART = 0.85  # share of a box inside a larger one, from which on it is a part, when both stand at one height
LEVEL = 0.1  # of the smaller box's height: how far apart lower edges may be to stand at one height


def twins(boxes: np.ndarray, same: np.ndarray, rank: np.ndarray, scores: np.ndarray, certain: float) -> np.ndarray:
    """(N,) bool: boxes that a better one of their kind shows already.

    boxes   (N, 4) x0 y0 x1 y1
    same    (N, N) bool, whether classes may be one thing
    rank    (N,) smaller is better
    scores  (N,) cars in a queue overlap as much as doubles, but are seen as surely as one another
    certain score from which on nothing is taken for a double of another one as sure, unless they lie on one another
    """
    boxes = boxes.astype(float)
    overlap = iou_matrix(boxes, boxes)
    doubtful = (scores[:, None] < WEAKER * scores[None]) | (scores[:, None] < certain)
    doubled = same & ((overlap > SAME) | (doubtful & ((overlap > TWIN) | _part(boxes))))
    np.fill_diagonal(doubled, False)
    gone = np.zeros(len(boxes), bool)
    rows = np.flatnonzero(doubled.any(axis=1))
    for row in rows[np.argsort(rank[rows], kind="stable")]:
        better = (rank < rank[row]) & ~gone
        gone[row] = (doubled[row] & better).any()
    return gone


def _part(boxes: np.ndarray) -> np.ndarray:
    height = boxes[:, 3] - boxes[:, 1]
    level = np.abs(boxes[:, 3, None] - boxes[None, :, 3]) < LEVEL * np.minimum(height[:, None], height[None])
    return level & (containment_matrix(boxes, boxes) > PART)
