"""How much boxes overlap, all of one list with all of another."""

from __future__ import annotations

import numpy as np


def iou_matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, 4) and (M, 4) boxes x0 y0 x1 y1 -> (N, M) intersection over union."""
    a_low, a_high = a.T.reshape(2, 2, -1, 1)  # x and y of the corners
    b_low, b_high = b.T.reshape(2, 2, 1, -1)
    width, height = np.maximum(np.minimum(a_high, b_high) - np.maximum(a_low, b_low), 0)
    inside = width * height
    (a_width, a_height), (b_width, b_height) = a_high - a_low, b_high - b_low
    areas = a_width * a_height + b_width * b_height
    return inside / np.maximum(areas - inside, 1e-9)


def inside_matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, 4) and (M, 4) boxes -> (N, M) intersection over the smaller of the two."""
    areas = [(boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) for boxes in (a, b)]
    iou = iou_matrix(a, b)
    inside = (areas[0][:, None] + areas[1][None]) * iou / (1 + iou)
    return inside / np.maximum(np.minimum(areas[0][:, None], areas[1][None]), 1e-9)
