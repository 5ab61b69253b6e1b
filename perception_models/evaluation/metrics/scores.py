"""Counting that several metrics share."""

from __future__ import annotations

import numpy as np

BINS = 15


def confusion(predicted: np.ndarray, actual: np.ndarray, classes: int) -> np.ndarray:
    """(classes, classes) int64 counts, rows are the truth. Both of one shape, ids below `classes`."""
    pairs = actual.ravel().astype(np.int64) * classes + predicted.ravel()
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def iou_of(counts: np.ndarray) -> np.ndarray:
    """(classes,) intersection over union of a confusion matrix; nan for a class that is not in the truth."""
    inner = np.diag(counts)
    union = counts.sum(0) + counts.sum(1) - inner
    return np.where(counts.sum(1) > 0, inner / np.maximum(union, 1), np.nan)


def accuracy_of(counts: np.ndarray) -> float | None:
    """Share on the diagonal; None when nothing was counted."""
    return float(np.trace(counts) / counts.sum()) if counts.sum() else None


def reliability(scores: np.ndarray, right: np.ndarray, bins: int = BINS) -> np.ndarray:
    """(bins, 3) count, mean score, share that was right, in equal steps of the score; nan means for empty bins."""
    place = np.clip((np.asarray(scores) * bins).astype(int), 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        means = [np.bincount(place, values, minlength=bins) / count for values in (scores, np.asarray(right, float))]
    return np.stack([count, *means], 1)


def calibration_error(scores: np.ndarray, right: np.ndarray, bins: int = BINS) -> float | None:
    """Expected calibration error: mean distance of score and share that was right (Guo et al., ICML 2017)."""
    if len(scores) == 0:
        return None
    count, score, share = reliability(scores, right, bins).T
    filled = count > 0
    return float((count[filled] * np.abs(score - share)[filled]).sum() / count.sum())
