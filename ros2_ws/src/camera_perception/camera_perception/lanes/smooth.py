"""Lines that jump between rows are refitted to a smooth road line, or refused when too few rows agree on one.

On a flat road a line y = c0 + c1 x + c2 x^2 is u = a + b v + d / (v - horizon) in the image, linear in a, b and d for a
given horizon. Row-wise networks give each row the marking they like best, so a bad line is two lines in turns: a fit to
all rows lies between both, and the rows must be split first (RANSAC, Fischler and Bolles 1981; scored as in MSAC, Torr
and Zisserman 2000). All triples of a few spread rows are tried: no random numbers, the same line gives the same fit.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations

import numpy as np

HORIZONS = np.array([4, 8, 16, 32, 64, 128]) / 640  # above the far end of the line, as fractions of the image width
REFIT_HORIZONS = HORIZONS[3:]  # nearer ones allow hooks at the far end: right for a curve seen whole, wrong for a guess
MIN_ROWS = 6  # shorter lines must be straight
ANCHORS = 8  # spread rows, of which triples are tried
REFITS = 2


def smooth(points: np.ndarray, weights: np.ndarray, width: float, max_offset: float, min_agreeing: float) -> np.ndarray:
    """The line itself when it is smooth; else the smooth curve through the rows that agree, from first to last of them.

    points       (P, 2) u v, pixels, one per row
    weights      (P,) confidence of each row, 0..1
    width        of the image, pixels
    max_offset   largest distance from the curve of a row that agrees, as a fraction of the width
    min_agreeing fraction of the weights that must agree
    returns      (Q, 2) pixels in the same order; (0, 2) when the line is refused
    """
    if len(points) < 3:
        return points
    unit = points.astype(float) / width
    if _is_smooth(unit, max_offset):
        return points
    if len(points) < MIN_ROWS:
        return points[:0]
    curve, agreeing = _robust(unit, _columns(unit[:, 1], REFIT_HORIZONS), weights, max_offset)
    if agreeing.sum() < MIN_ROWS or weights[agreeing].sum() < min_agreeing * weights.sum():
        return points[:0]
    first, last = np.flatnonzero(agreeing)[[0, -1]]
    fitted = np.column_stack((curve, unit[:, 1])) * width
    return np.asarray(fitted[first : last + 1].astype(points.dtype))


def _is_smooth(unit: np.ndarray, max_offset: float) -> bool:
    """Whether all points are near the least-squares curve of some horizon."""
    bases = _bases(unit[:, 1].tobytes())
    fitted = (bases @ (unit[:, 0] @ bases)[..., None])[..., 0]
    # Most lines pass the first test, which takes a fifth of the time of the second.
    sideways = np.abs(unit[:, 0] - fitted).max(1).min()
    return bool(sideways <= max_offset or _offsets(unit, fitted).max(1).min() <= max_offset)


@lru_cache(maxsize=128)
def _bases(rows: bytes) -> np.ndarray:
    """(H, P, 3) of each horizon, or (1, P, 2) of a straight line: orthonormal columns that span u of all its curves.

    Their products with themselves, (H, P, P), would save a step for each line but take 250 kB each.
    """
    v = np.frombuffer(rows)
    columns = _columns(v, HORIZONS) if len(v) >= MIN_ROWS else np.stack((np.ones_like(v), v), 1)[None]
    return np.stack([np.linalg.qr(each)[0] for each in columns])  # NumPy 1.21 takes no stack


def _columns(v: np.ndarray, horizons: np.ndarray) -> np.ndarray:
    """(H, P, 3) what a, b and d are multiplied with at each horizon."""
    near = v - (v.min() - horizons[:, None])
    nearest = near.max(1, keepdims=True)
    return np.stack((np.ones_like(near), near / nearest, near.min(1, keepdims=True) / near), 2)


def _offsets(unit: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    """(..., P) distance of the points from curves with these u (..., P), across the curve."""
    slopes = np.empty_like(fitted)
    slopes[..., 1:] = (fitted[..., 1:] - fitted[..., :-1]) / np.diff(unit[:, 1])  # np.gradient takes five times as long
    slopes[..., 0] = slopes[..., 1]
    return np.asarray(np.abs(unit[:, 0] - fitted) / np.sqrt(1 + slopes * slopes))


def _robust(
    unit: np.ndarray, columns: np.ndarray, weights: np.ndarray, max_offset: float
) -> tuple[np.ndarray, np.ndarray]:
    """(P,) u of the curve on which most of the weights agree, and (P,) which rows do."""
    chosen, curve = _best_triple(unit, columns, weights, max_offset)
    for _ in range(REFITS):
        agreeing = _offsets(unit, chosen @ curve) <= max_offset
        root = np.sqrt(weights * agreeing)
        curve = np.linalg.lstsq(chosen * root[:, None], unit[:, 0] * root, rcond=None)[0]
    fitted = chosen @ curve
    return fitted, _offsets(unit, fitted) <= max_offset


def _best_triple(
    unit: np.ndarray, columns: np.ndarray, weights: np.ndarray, max_offset: float
) -> tuple[np.ndarray, np.ndarray]:
    """(P, 3) columns and (3,) a, b, d of the curve through three rows with the least truncated squared distance."""
    triples = _triples(len(unit))
    systems = columns[:, triples] + 1e-9 * np.eye(3)
    curves = np.linalg.solve(systems, np.broadcast_to(unit[triples, 0], systems.shape[:3])[..., None])[..., 0]
    offsets = _offsets(unit, np.einsum("hpc,htc->htp", columns, curves))
    costs = (weights * np.minimum((offsets / max_offset) ** 2, 1)).sum(2)
    horizon, triple = np.unravel_index(int(costs.argmin()), costs.shape)
    return columns[horizon], curves[horizon, triple]


@lru_cache(maxsize=128)
def _triples(rows: int) -> np.ndarray:
    """(T, 3) triples of up to ANCHORS spread rows."""
    anchors = np.unique(np.linspace(0, rows - 1, ANCHORS).round().astype(int))
    return np.array(list(combinations(anchors, 3)))
