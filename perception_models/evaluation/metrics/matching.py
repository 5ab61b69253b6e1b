"""Detections matched to labels by pycocotools.

One class's detections in all images, best first: recall and precision wherever one wants to stand.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from perception_models.data.sample import Boxes


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


FP_PER_FRAME = 0.5
# COCO's ranges of area in pixels of the picture: small is below 32 x 32, large from 96 x 96.
AREAS = {"all": (0, 1e10), "small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}


@dataclass(frozen=True)
class ObjectRecord:
    """One image: what was found and what is labelled, classes as in labels.OBJECTS."""

    found: np.ndarray  # (N, 4)
    scores: np.ndarray  # (N,)
    classes: np.ndarray  # (N,)
    labelled: Boxes


class CocoMatches:
    """COCOeval over all images, classes merged by `category_of` (class id: category; others are left out).

    brief  at an IoU of 0.5 and over all sizes only: a fifth of the time
    """

    def __init__(self, records: Sequence[ObjectRecord], category_of: dict[int, int], brief: bool = False):
        from pycocotools.cocoeval import COCOeval

        truth = _coco(records, category_of)
        self.images = len(records)
        self.areas = {"all": AREAS["all"]} if brief else AREAS
        self.categories = sorted(set(category_of.values()))
        with contextlib.redirect_stdout(io.StringIO()):
            self._eval = COCOeval(truth, _found(truth, records, category_of), "bbox")
            params = self._eval.params
            params.maxDets, params.areaRng = [100], list(map(list, self.areas.values()))
            params.areaRngLbl, params.iouThrs = list(self.areas), params.iouThrs[: 1 if brief else None]
            self._eval.evaluate()
            self._eval.accumulate()
        self._by_area = self._eval.eval["precision"][..., 0]  # IoU, recall, category, area; -1: nothing labelled
        self._precision = self._by_area[..., 0]

    def curve(self, category: int) -> Curve:
        rows = self._rows(category)
        join = lambda values, kind: np.concatenate([np.zeros(0, kind), *values])  # noqa: E731
        labelled = sum(int((row["gtIgnore"] == 0).sum()) for row in rows)
        scores = join([np.array(row["dtScores"]) for row in rows], float)
        right = join([row["dtMatches"][0] > 0 for row in rows], bool)
        counts = join([~row["dtIgnore"][0].astype(bool) for row in rows], bool)
        return Curve(scores, right, counts, labelled, self.images)

    def precision_curve(self, category: int) -> list[float]:
        """Precision at recalls 0, 0.01 ... 1, IoU 0.5."""
        return [round(float(p), 4) for p in self._precision[0, :, self.categories.index(category)]]

    def row(self, category: int, threshold: float) -> dict[str, Any]:
        precision, curve = self._precision[:, :, self.categories.index(category)], self.curve(category)
        known = curve.labelled > 0
        return {
            "labelled": curve.labelled,
            "ap": float(precision.mean()) if known else None,
            "ap50": float(precision[0].mean()) if known else None,
            **{f"ap50_{area}": self._ap50(category, i) for i, area in enumerate(self.areas) if i},
            "recall": curve.recall_at(threshold),
            "precision": curve.precision_at(threshold),
            f"recall_at_{FP_PER_FRAME}_fp_per_frame": curve.recall_at_false_positives(FP_PER_FRAME),
            "max_recall": curve.recall_at(-np.inf),
        }

    def _ap50(self, category: int, area: int) -> float | None:
        value = float(self._by_area[0, :, self.categories.index(category), area].mean())
        return value if value >= 0 else None

    def _rows(self, category: int) -> list[dict[str, Any]]:
        first = self.categories.index(category) * len(self.areas) * self.images
        return [row for row in self._eval.evalImgs[first : first + self.images] if row is not None]


def _coco(records: Sequence[ObjectRecord], category_of: dict[int, int]) -> Any:
    """Labels as a COCO object. Ignored boxes are crowds: many detections may fall into one, none counts."""
    from pycocotools.coco import COCO

    annotations = []
    for image, row in enumerate(records):
        for box, kind, ignored in zip(row.labelled.boxes, row.labelled.classes, row.labelled.ignored):
            if int(kind) in category_of:
                annotations.append(_entry(image, category_of[int(kind)], box, iscrowd=int(ignored)))
                annotations[-1]["id"] = len(annotations)
    coco = COCO()
    coco.dataset = {
        "images": [{"id": image} for image in range(len(records))],
        "categories": [{"id": category} for category in sorted(set(category_of.values()))],
        "annotations": annotations,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def _found(truth: Any, records: Sequence[ObjectRecord], category_of: dict[int, int]) -> Any:
    entries = [
        _entry(image, category_of[int(kind)], box, score=float(score))
        for image, row in enumerate(records)
        for box, score, kind in zip(row.found, row.scores, row.classes)
        if int(kind) in category_of
    ]
    if entries:
        return truth.loadRes(entries)
    from pycocotools.coco import COCO

    empty = COCO()
    empty.dataset = {**truth.dataset, "annotations": []}
    empty.createIndex()
    return empty


def _entry(image: int, category: int, box: np.ndarray, **more: Any) -> dict[str, Any]:
    x0, y0, x1, y1 = map(float, box)
    size = [x1 - x0, y1 - y0]
    return {"image_id": image, "category_id": category, "bbox": [x0, y0, *size], "area": size[0] * size[1], **more}
