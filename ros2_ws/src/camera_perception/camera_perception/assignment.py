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
# A rider and the bicycle under it are two things, a car and the van in its place are not.
DOUBLES = (LIKE[0], LIKE[1], {"bicycle", "motorcycle"})


def alike(names: tuple[str, ...], groups: tuple[set[str], ...] = LIKE) -> np.ndarray:
    """(C, C) bool: classes that may be one object, seen one after the other."""
    pairs = [[a == b or any({a, b} <= group for group in groups) for b in names] for a in names]
    return np.array(pairs, bool).reshape(len(names), len(names))


def mahalanobis(a: np.ndarray, a_cov: np.ndarray, b: np.ndarray, b_cov: np.ndarray) -> np.ndarray:
    """(N, 2), (N, 2, 2) and (M, 2), (M, 2, 2) -> (N, M) squared distances; nan where one is not known."""
    x, y = (a[:, axis, None] - b[None, :, axis] for axis in (0, 1))
    xx, xy, yy = (a_cov[:, i, j, None] + b_cov[None, :, i, j] for i, j in ((0, 0), (0, 1), (1, 1)))
    with np.errstate(divide="ignore", invalid="ignore"):
        return (yy * x * x - 2 * xy * x * y + xx * y * y) / (xx * yy - xy * xy)


def near_in_image(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, M) bool: boxes of about one size, whose middles lie less than two sizes apart."""
    a_size, b_size = (np.sqrt(np.maximum((c[:, 2] - c[:, 0]) * (c[:, 3] - c[:, 1]), 1e-6)) for c in (a, b))
    u, v = ((a[:, i] + a[:, j])[:, None] / 2 - (b[:, i] + b[:, j])[None] / 2 for i, j in ((0, 2), (1, 3)))
    small, large = np.minimum(a_size[:, None], b_size[None]), np.maximum(a_size[:, None], b_size[None])
    return (u * u + v * v < 4 * large * large) & (large < 1.7 * small)


def match(cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns that belong together at least cost; costs of NEVER and above stay alone."""
    if not cost.size:
        return np.zeros(0, int), np.zeros(0, int)
    rows, columns = linear_sum_assignment(np.minimum(cost, NEVER))
    good = cost[rows, columns] < NEVER
    return rows[good], columns[good]
