"""How much boxes overlap, all of one list with all of another.

Non-maximum suppression.
"""

from __future__ import annotations

import numpy as np


def iou_matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, 4) and (M, 4) boxes x0 y0 x1 y1 -> (N, M) intersection over union."""
    ax0, ay0, ax1, ay1 = a.T[:, :, None]
    bx0, by0, bx1, by1 = b.T[:, None]
    width = np.minimum(ax1, bx1) - np.maximum(ax0, bx0)
    height = np.minimum(ay1, by1) - np.maximum(ay0, by0)
    inside = np.maximum(width, 0) * np.maximum(height, 0)
    areas = (ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0)
    return inside / np.maximum(areas - inside, 1e-9)


def inside_matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, 4) and (M, 4) boxes -> (N, M) intersection over the smaller of the two."""
    areas = [(boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) for boxes in (a, b)]
    iou = iou_matrix(a, b)
    inside = (areas[0][:, None] + areas[1][None]) * iou / (1 + iou)
    return inside / np.maximum(np.minimum(areas[0][:, None], areas[1][None]), 1e-9)


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
