"""Non-maximum suppression."""

from __future__ import annotations

import numpy as np

from camera_perception.overlap import iou_matrix

BLOCK = 64  # boxes that are compared with all others at once
LATER = np.triu(np.ones((BLOCK, BLOCK), bool), 1)


def nms(boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, max_iou: float, limit: int = 1000) -> np.ndarray:
    """Rows to keep, best first: of two boxes of one class that overlap by more than max_iou, the better one.

    Only the `limit` best rows compete. Equal scores keep their order.
    """
    boxes = boxes.astype(np.float64)

    def clash(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        same = classes[a][:, None] == classes[b]
        return same & (iou_matrix(boxes[a], boxes[b]) > max_iou) if same.any() else same

    order, kept = np.argsort(-scores, kind="stable")[:limit], [np.zeros(0, np.intp)]
    while len(order):
        block, order = order[:BLOCK], order[BLOCK:]
        block = block[_first_come(clash(block, block))]
        kept.append(block)
        if len(order):
            order = order[~clash(block, order).any(axis=0)]
    return np.concatenate(kept)


def _first_come(clash: np.ndarray) -> np.ndarray:
    """(N,) bool: rows that stay when each that stays drives out the later ones it clashes with; N up to BLOCK."""
    stay, later = np.ones(len(clash), bool), clash & LATER[: len(clash), : len(clash)]
    for row in np.flatnonzero(later.any(axis=1)).tolist():
        if stay[row]:
            stay &= ~later[row]
    return stay
