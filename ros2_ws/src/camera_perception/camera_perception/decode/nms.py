"""Non-maximum suppression."""

from __future__ import annotations

import numpy as np

BLOCK = 64  # boxes that are compared with all others at once


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Overlap 0..1 of boxes (..., 4) x0 y0 x1 y1, whose leading axes broadcast."""
    shared = _area(np.maximum(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0))
    union = _area(a[..., 2:] - a[..., :2]) + _area(b[..., 2:] - b[..., :2]) - shared
    return shared / np.maximum(union, 1e-12)


def _area(size: np.ndarray) -> np.ndarray:
    """(..., 2) -> (...): of so few, the product of two slices takes a fraction of prod's time."""
    return size[..., 0] * size[..., 1]


def nms(boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, max_iou: float, limit: int = 1000) -> np.ndarray:
    """Rows to keep, best first: of two boxes of one class that overlap by more than max_iou, the better one.

    Only the `limit` best rows compete. Equal scores keep their order.
    """
    boxes = boxes.astype(np.float64)

    def clash(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        same = classes[a][:, None] == classes[b]
        return same & (iou(boxes[a][:, None], boxes[b]) > max_iou) if same.any() else same

    order, kept = np.argsort(-scores, kind="stable")[:limit], [np.zeros(0, np.intp)]
    while len(order):
        block, order = order[:BLOCK], order[BLOCK:]
        block = block[_first_come(clash(block, block))]
        order = order[~clash(block, order).any(axis=0)]
        kept.append(block)
    return np.concatenate(kept)


def _first_come(clash: np.ndarray) -> np.ndarray:
    """(N,) bool: rows that stay when each that stays drives out the later ones it clashes with; clash (N, N)."""
    stay, later = np.ones(len(clash), bool), np.triu(clash, 1)
    for row in np.flatnonzero(later.any(axis=1)).tolist():
        if stay[row]:
            stay &= ~later[row]
    return stay
