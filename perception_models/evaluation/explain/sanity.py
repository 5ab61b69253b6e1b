"""Sanity checks of evidence maps: three metrics, because maps can look plausible and still be wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import spearmanr

from camera_perception.core.types import Observations
from perception_models.evaluation.explain.occlusion import blurred
from perception_models.evaluation.explain.target import Target, target_score

DELETED = 0.1  # fraction of the image


def fraction_inside(target: Target, evidence: np.ndarray) -> float:
    """Fraction 0..1 of the positive evidence on the object or line itself; nan for scenes, which have no area."""
    if target.type == "scene":
        return float("nan")
    positive = np.clip(evidence, 0, None)
    return float(positive[target.area(evidence.shape)].sum() / max(positive.sum(), 1e-12))


def scores_after_deletion(
    predict: Callable[[np.ndarray], Observations], image: np.ndarray, target: Target, evidence: np.ndarray
) -> tuple[float, float]:
    """Score of the target with the most important tenth of the image blurred, and with the same pattern blurred
    elsewhere (shifted by half the width) for comparison. The first should be far below the second."""
    deleted = evidence >= np.quantile(evidence, 1 - DELETED)
    occluded = blurred(image)
    here, elsewhere = (
        target_score(target, predict(np.where(mask[..., None], occluded, image)))
        for mask in (deleted, np.roll(deleted, deleted.shape[1] // 2, 1))
    )
    return here, elsewhere


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman correlation -1..1 of two maps on cells of 8x8 pixels, because neighbouring pixels are not independent.

    Between the maps of a network and of a copy with random weights it should be near 0: otherwise the map shows the
    image and not what the network makes of it (Adebayo et al. 2018, arXiv 1810.03292).
    """
    cropped = [m[: m.shape[0] // 8 * 8, : m.shape[1] // 8 * 8] for m in (a, b)]
    means = [c.reshape(c.shape[0] // 8, 8, c.shape[1] // 8, 8).mean((1, 3)).ravel() for c in cropped]
    value = spearmanr(*means).statistic
    return float(value) if np.isfinite(value) else 0.0
