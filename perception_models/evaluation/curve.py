"""One class's detections in all images, best first: recall and precision wherever one wants to stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Curve:
    """Detections of a class in all images.

    scores (N,); right (N,) matched a label at IoU 0.5; counts (N,) False where it matched an ignored label
    """

    scores: np.ndarray
    right: np.ndarray
    counts: np.ndarray
    labelled: int
    images: int

    @staticmethod
    def joined(curves: Sequence[Curve]) -> Curve:
        columns = (np.concatenate([getattr(c, name) for c in curves]) for name in ("scores", "right", "counts"))
        return Curve(*columns, sum(c.labelled for c in curves), curves[0].images)

    def recall_at(self, threshold: float) -> float | None:
        return self._share(int((self.right & self.counts & (self.scores >= threshold)).sum()), self.labelled)

    def precision_at(self, threshold: float) -> float | None:
        kept = self.counts & (self.scores >= threshold)
        return self._share(int((kept & self.right).sum()), int(kept.sum()))

    def recall_at_false_positives(self, per_frame: float) -> float | None:
        """Recall with the lowest threshold that leaves at most so many false positives per frame."""
        scores, right = self._sorted()
        allowed = np.cumsum(~right) <= per_frame * self.images + 1e-9
        ends = (
            np.r_[scores[1:] != scores[:-1], True] if len(scores) else np.zeros(0, bool)
        )  # equal scores pass together
        usable = np.flatnonzero(allowed & ends)
        return self._share(int(right[: usable[-1] + 1].sum()) if len(usable) else 0, self.labelled)

    def roc(self, points: int = 100) -> tuple[list[float], list[float]]:
        """(false positives per frame, recall) as the threshold falls, at most so many points."""
        _, right = self._sorted()
        kept = np.unique(np.linspace(0, max(len(right) - 1, 0), points).astype(int))[: len(right)]
        false_positives, found = np.cumsum(~right)[kept] / self.images, np.cumsum(right)[kept] / max(self.labelled, 1)
        return false_positives.round(4).tolist(), found.round(4).tolist()

    @property
    def counted(self) -> tuple[np.ndarray, np.ndarray]:
        """(scores, right) of those that fell on no ignored label."""
        return self.scores[self.counts], self.right[self.counts]

    def _sorted(self) -> tuple[np.ndarray, np.ndarray]:
        scores, right = self.counted
        order = np.argsort(-scores, kind="stable")
        return scores[order], right[order]

    @staticmethod
    def _share(part: int, whole: int) -> float | None:
        return part / whole if whole else None
