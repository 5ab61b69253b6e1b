"""Is a map worth looking at? Three figures that a pretty picture alone does not give."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import spearmanr

from camera_perception.core.types import Observations
from perception_models.evaluation.explain.occlusion import blurred
from perception_models.evaluation.explain.target import Question, answer

SHARE = 0.1  # of the picture


def inside(question: Question, evidence: np.ndarray) -> float:
    """Share 0..1 of what speaks for the answer that lies on the thing itself; nan for scenes, which lie nowhere."""
    if question.kind == "scene":
        return float("nan")
    positive = np.clip(evidence, 0, None)
    return float(positive[question.area(evidence.shape)].sum() / max(positive.sum(), 1e-12))


def left_without(
    look: Callable[[np.ndarray], Observations], picture: np.ndarray, question: Question, evidence: np.ndarray
) -> tuple[float, float]:
    """How much is still said when the most important tenth of the picture is blurred, and, to compare with, when the
    same holes are made elsewhere (half a picture to the side). The first should be far below the second."""
    holes = evidence >= np.quantile(evidence, 1 - SHARE)
    covered = blurred(picture)
    places = holes, np.roll(holes, holes.shape[1] // 2, 1)
    values = [answer(question, look(np.where(place[..., None], covered, picture))) for place in places]
    return values[0], values[1]


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Rank correlation -1..1 of two maps, on cells of 8x8 pixels, as neighbouring pixels say the same anyway.

    Between the maps of a network and of one with random weights it should be near 0: else the map shows the picture and
    not what the network makes of it (Adebayo et al. 2018, arXiv 1810.03292).
    """
    cells = [m[: m.shape[0] // 8 * 8, : m.shape[1] // 8 * 8] for m in (one, other)]
    means = [c.reshape(c.shape[0] // 8, 8, c.shape[1] // 8, 8).mean((1, 3)).ravel() for c in cells]
    value = spearmanr(*means).statistic
    return float(value) if np.isfinite(value) else 0.0
