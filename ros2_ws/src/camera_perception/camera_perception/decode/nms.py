"""Non-maximum suppression."""

from __future__ import annotations

import numpy as np


def iou(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Overlap of one box (4,) with boxes (N, 4), all x0 y0 x1 y1: (N,) 0..1."""
    overlap = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = np.maximum(overlap, 0).prod(axis=1)
    union = (box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) - shared
    return shared / np.maximum(union, 1e-12)


def nms(boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, max_iou: float, limit: int = 1000) -> np.ndarray:
    """Rows to keep, best first: of two boxes of one class that overlap by more than max_iou, the better one.

    Only the `limit` best rows compete. Equal scores keep their order.
    """
    boxes = boxes.astype(np.float64)
    order = np.argsort(-scores, kind="stable")[:limit]
    kept = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        order = order[(classes[order] != classes[best]) | (iou(boxes[best], boxes[order]) <= max_iou)]
    return np.array(kept, np.intp)
