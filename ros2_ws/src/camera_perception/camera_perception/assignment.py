"""Which detection belongs to which track: overlap in the image, distance on the road, class."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

NEVER = 1e6
# A network takes these for one another; everything else only for itself.
LIKE = (
    {"car", "truck", "bus", "train", "van"},
    {"pedestrian", "person", "rider"},
    {"bicycle", "motorcycle", "rider"},
)


def iou_matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, 4) and (M, 4) boxes x0 y0 x1 y1 -> (N, M) intersection over union."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    inside = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (a, b)]
    return inside / np.maximum(areas[0][:, None] + areas[1][None] - inside, 1e-9)


def alike(names: tuple[str, ...]) -> np.ndarray:
    """(C, C) bool: classes that may be one object."""
    pairs = [[a == b or any({a, b} <= group for group in LIKE) for b in names] for a in names]
    return np.array(pairs, bool).reshape(len(names), len(names))


def mahalanobis(a: np.ndarray, a_cov: np.ndarray, b: np.ndarray, b_cov: np.ndarray) -> np.ndarray:
    """(N, 2), (N, 2, 2) and (M, 2), (M, 2, 2) -> (N, M) squared distances; nan where one is not known."""
    apart = a[:, None] - b[None]
    s = a_cov[:, None] + b_cov[None]
    with np.errstate(divide="ignore", invalid="ignore"):
        determinant = s[..., 0, 0] * s[..., 1, 1] - s[..., 0, 1] ** 2
        x, y = apart[..., 0], apart[..., 1]
        return (s[..., 1, 1] * x**2 - 2 * s[..., 0, 1] * x * y + s[..., 0, 0] * y**2) / determinant


def near_in_image(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, M) bool: boxes of about one size, whose middles lie less than one size apart."""
    size = [np.sqrt(np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), 1e-6)) for boxes in (a, b)]
    middle = [(boxes[:, :2] + boxes[:, 2:]) / 2 for boxes in (a, b)]
    apart = np.linalg.norm(middle[0][:, None] - middle[1][None], axis=2)
    small, large = np.minimum(size[0][:, None], size[1][None]), np.maximum(size[0][:, None], size[1][None])
    return (apart < large) & (large < 1.7 * small)


def match(cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns that belong together at least cost; costs of NEVER and above stay alone."""
    if not cost.size:
        return np.zeros(0, int), np.zeros(0, int)
    rows, columns = linear_sum_assignment(np.minimum(cost, NEVER))
    good = cost[rows, columns] < NEVER
    return rows[good], columns[good]
