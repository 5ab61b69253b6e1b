"""Pairwise box overlap and non-maximum suppression."""

from __future__ import annotations

import numpy as np

from camera_perception import core


def iou_matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, 4) and (M, 4) boxes x0 y0 x1 y1 -> (N, M) intersection over union."""
    ax0, ay0, ax1, ay1 = a.T[:, :, None]
    bx0, by0, bx1, by1 = b.T[:, None]
    width = np.minimum(ax1, bx1) - np.maximum(ax0, bx0)
    height = np.minimum(ay1, by1) - np.maximum(ay0, by0)
    inside = np.maximum(width, 0) * np.maximum(height, 0)
    areas = (ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0)
    iou: np.ndarray = inside / np.maximum(areas - inside, 1e-9)
    return iou


def containment_matrix(boxes: np.ndarray, iou: np.ndarray) -> np.ndarray:
    """(N, 4) boxes with their (N, N) intersection over union -> (N, N) intersection over the smaller of the two."""
    size = boxes[:, 2:] - boxes[:, :2]
    area = size[:, 0] * size[:, 1]
    inside = (area[:, None] + area) * iou / (1 + iou)
    containment: np.ndarray = inside / np.maximum(np.minimum(area[:, None], area), 1e-9)
    return containment


BLOCK = 64  # boxes compared with all others at once
UPPER_TRIANGLE = np.triu(np.ones((BLOCK, BLOCK), bool), 1)


def nms(boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, max_iou: float, limit: int = 1000) -> np.ndarray:
    """Greedy non-maximum suppression per class: rows to keep, best first.

    Only the `limit` best rows are considered. Equal scores keep their order.
    """
    boxes = boxes.astype(np.float64)
    if core.kernels is not None:
        order = (-scores).argsort(kind="stable")[:limit]
        kept = np.empty(len(order), np.int64)
        count = core.kernels.nms(boxes.take(order, axis=0), classes.take(order).astype(np.int64), max_iou, kept)
        return np.asarray(order.take(kept[:count]))
    return _nms_in_blocks(boxes, scores, classes, max_iou, limit)


def decayed_scores(boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, least_iou: float) -> np.ndarray:
    """(N,) float32: a score falls by 1 - IoU with every better box of its class that overlaps by more than `least_iou`.

    boxes (N, 4) best first. Linear Soft-NMS (Bodla et al. 2017, arXiv 1704.04503) in one pass: the order is that of the
    scores before.
    """
    boxes, decayed = boxes.astype(np.float64), np.empty(len(boxes), np.float32)
    if core.kernels is not None:
        core.kernels.decay_scores(boxes, np.ascontiguousarray(scores, np.float32), classes, least_iou, decayed)
        return decayed
    share = np.ones(len(boxes))
    for row in range(len(boxes) - 1):
        iou = iou_matrix(boxes[row : row + 1], boxes[row + 1 :])[0]
        share[row + 1 :] *= np.where((classes[row + 1 :] == classes[row]) & (iou > least_iou), 1 - iou, 1)
    decayed[:] = scores * share
    return decayed


def _nms_in_blocks(
    boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, max_iou: float, limit: int
) -> np.ndarray:
    """nms, a block of boxes at a time."""

    def conflicts(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        same_class: np.ndarray = classes[a][:, None] == classes[b]
        return same_class & (iou_matrix(boxes[a], boxes[b]) > max_iou) if same_class.any() else same_class

    order, kept = (-scores).argsort(kind="stable")[:limit], [np.zeros(0, np.intp)]
    while len(order):
        block, order = order[:BLOCK], order[BLOCK:]
        block = block[_greedy_keep(conflicts(block, block))]
        kept.append(block)
        if len(order):
            order = order[~conflicts(block, order).any(axis=0)]
    return np.concatenate(kept)


def _greedy_keep(conflicts: np.ndarray) -> np.ndarray:
    """(N,) bool, N up to BLOCK: rows that remain when each of them suppresses the later ones it conflicts with."""
    keep, later = np.ones(len(conflicts), bool), conflicts & UPPER_TRIANGLE[: len(conflicts), : len(conflicts)]
    for row in np.flatnonzero(later.any(axis=1)).tolist():
        if keep[row]:
            keep &= ~later[row]
    return keep
