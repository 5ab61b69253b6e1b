"""Fits of score calibration and thresholds with few parameters, as plain functions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit

IDENTITY = (1.0, 0.0)  # slope and offset that change nothing
TINY = 1e-6
NEARLY_BEST = 0.98  # of the best F1: among equals, the lowest threshold finds more


@dataclass(frozen=True)
class Evidence:
    """Findings of one class on labelled pictures.

    scores   (N,) 0..1
    correct  (N,) bool, matched a label
    labelled number of labels
    """

    scores: np.ndarray
    correct: np.ndarray
    labelled: int

    @staticmethod
    def joined(parts: list[Evidence]) -> Evidence:
        scores = np.concatenate([np.zeros(0), *(part.scores for part in parts)])
        correct = np.concatenate([np.zeros(0, bool), *(part.correct for part in parts)])
        return Evidence(scores, correct, sum(part.labelled for part in parts))


def platt(evidence: Evidence, prior: tuple[float, float], strength: float) -> tuple[float, float]:
    """Slope and offset of sigmoid(slope * logit(score) + offset) that make scores precisions (Platt, 1999).

    prior     slope and offset without evidence
    strength  weight of the prior: 1 / variance of log slope and offset
    """
    if not len(evidence.scores):
        return prior
    x, y = logit(evidence.scores.clip(TINY, 1 - TINY)), evidence.correct
    start = np.array([np.log(prior[0]), prior[1]])

    def loss(values: np.ndarray) -> float:
        z = np.exp(values[0]) * x + values[1]
        return float(np.logaddexp(0, np.where(y, -z, z)).sum() + strength / 2 * ((values - start) ** 2).sum())

    log_slope, offset = minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-4}).x
    return float(np.exp(log_slope)), float(offset)


def published(scores: np.ndarray, pair: tuple[float, float]) -> np.ndarray:
    """(N,) calibrated scores."""
    return np.asarray(expit(pair[0] * logit(scores.clip(TINY, 1 - TINY)) + pair[1]))


def best_threshold(
    scores: np.ndarray, correct: np.ndarray, labelled: int, low: float, high: float, beta: float = 1.0
) -> float:
    """Lowest score in low..high whose F-beta is nearly the best there; recall counts `beta` times as much."""
    candidates = np.arange(round(100 * low), round(100 * high) + 1) / 100
    kept = scores[None] >= candidates[:, None]
    f = (1 + beta**2) * (kept & correct).sum(1) / np.maximum(kept.sum(1) + beta**2 * labelled, 1)
    return float(candidates[np.flatnonzero(f >= NEARLY_BEST * f.max())[0]])


def score_that_allows(scores: np.ndarray, count: int) -> float:
    """Lowest threshold that at most `count` of the scores reach; 0 when there are no more than that."""
    return float(np.nextafter(np.sort(scores)[-count - 1], np.inf)) if len(scores) > count else 0.0


def score_of_precision(scores: np.ndarray, correct: np.ndarray, precision: float) -> float:
    """Lowest score above which this fraction is correct; 0 when it is of all scores, 1 where no score gives it."""
    order = np.argsort(-scores, kind="stable")
    reached = np.cumsum(correct[order]) / np.arange(1, len(scores) + 1) >= precision
    if not len(scores) or reached[-1]:
        return 0.0
    return float(scores[order][np.flatnonzero(reached)[-1]]) if reached.any() else 1.0
