"""Confusion counts, accuracy and calibration, shared by the metrics of several tasks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BINS = 15


def confusion(predicted: np.ndarray, actual: np.ndarray, classes: int) -> np.ndarray:
    """(classes, classes) int64 counts, rows are the labels. Both inputs have one shape and ids below `classes`."""
    pairs = actual.ravel().astype(np.int64) * classes + predicted.ravel()
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def iou_of(counts: np.ndarray) -> np.ndarray:
    """(classes,) intersection over union of a confusion matrix; nan for a class without labels."""
    inner = np.diag(counts)
    union = counts.sum(0) + counts.sum(1) - inner
    return np.where(counts.sum(1) > 0, inner / np.maximum(union, 1), np.nan)


def accuracy_of(counts: np.ndarray) -> float | None:
    """Fraction of a confusion matrix on its diagonal; None for an empty one."""
    return float(np.trace(counts) / counts.sum()) if counts.sum() else None


def reliability(scores: np.ndarray, correct: np.ndarray, bins: int = BINS) -> np.ndarray:
    """(bins, 3) count, mean score and accuracy in equal steps of the score; means of empty bins are nan."""
    index = np.clip((np.asarray(scores) * bins).astype(int), 0, bins - 1)
    count = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):
        means = [np.bincount(index, values, minlength=bins) / count for values in (scores, np.asarray(correct, float))]
    return np.stack([count, *means], 1)


def calibration_error(scores: np.ndarray, correct: np.ndarray, bins: int = BINS) -> float | None:
    """Expected calibration error: mean distance between score and accuracy (Guo et al., ICML 2017)."""
    if len(scores) == 0:
        return None
    count, score, accuracy = reliability(scores, correct, bins).T
    filled = count > 0
    return float((count[filled] * np.abs(score - accuracy)[filled]).sum() / count.sum())


def mean_of_known(values: Sequence[float | None]) -> float | None:
    """Mean of the values that are not None; None if all are."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
