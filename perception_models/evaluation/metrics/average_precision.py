"""Detections matched with labels by pycocotools: average precision, and recall and precision at any threshold."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from perception_models.data.sample import Boxes

FP_PER_FRAME = 0.5
# Ranges of area in pixels of the image, as in COCO: small is below 32 x 32, large from 96 x 96.
AREAS = {"all": (0, 1e10), "small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}


@dataclass(frozen=True)
class ObjectRecord:
    """Detections and labels of one image, classes as in labels.OBJECTS."""

    boxes: np.ndarray  # (N, 4) detected
    scores: np.ndarray  # (N,)
    classes: np.ndarray  # (N,)
    labelled: Boxes


class CocoMatches:
    """COCOeval over all images, classes merged by `category_of` (class id: category; other classes are left out).

    brief  at an IoU of 0.5 and over all sizes only: a fifth of the time
    """

    def __init__(self, records: Sequence[ObjectRecord], category_of: dict[int, int], brief: bool = False):
        from pycocotools.cocoeval import COCOeval

        truth = _labels(records, category_of)
        self.images = len(records)
        self.areas = {"all": AREAS["all"]} if brief else AREAS
        self.categories = sorted(set(category_of.values()))
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation: Any = COCOeval(truth, _detections(truth, records, category_of), "bbox")
            params = evaluation.params
            params.maxDets, params.areaRng = [100], list(map(list, self.areas.values()))
            params.areaRngLbl, params.iouThrs = list(self.areas), params.iouThrs[: 1 if brief else None]
            evaluation.evaluate()
            evaluation.accumulate()
        self._images: list[dict[str, Any] | None] = evaluation.evalImgs
        self._by_area = evaluation.eval["precision"][..., 0]  # IoU, recall, category, area; -1: nothing labelled
        self._precision = self._by_area[..., 0]

    def curve(self, category: int) -> Curve:
        rows = self._rows(category)
        labelled = sum(int((row["gtIgnore"] == 0).sum()) for row in rows)
        scores = np.concatenate([np.zeros(0), *(np.array(row["dtScores"]) for row in rows)])
        correct = np.concatenate([np.zeros(0, bool), *(row["dtMatches"][0] > 0 for row in rows)])
        counts = np.concatenate([np.zeros(0, bool), *(~row["dtIgnore"][0].astype(bool) for row in rows)])
        return Curve(scores, correct, counts, labelled, self.images)

    def precision_curve(self, category: int) -> list[float]:
        """Precision at recalls 0, 0.01 ... 1, IoU 0.5."""
        return [round(float(p), 4) for p in self._precision[0, :, self.categories.index(category)]]

    def row(self, category: int, threshold: float) -> dict[str, Any]:
        """Average precisions of a category, and its recall and precision at the threshold."""
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
        """Matches of all images over all sizes."""
        first = self.categories.index(category) * len(self.areas) * self.images
        return [row for row in self._images[first : first + self.images] if row is not None]


@dataclass(frozen=True)
class Curve:
    """Detections of one class in all images.

    scores   (N,)
    correct  (N,) matched a label at IoU 0.5
    counts   (N,) False if matched with an ignored label
    """

    scores: np.ndarray
    correct: np.ndarray
    counts: np.ndarray
    labelled: int
    images: int

    @staticmethod
    def joined(curves: Sequence[Curve]) -> Curve:
        scores, correct, counts = (
            np.concatenate([getattr(curve, name) for curve in curves]) for name in ("scores", "correct", "counts")
        )
        return Curve(scores, correct, counts, sum(curve.labelled for curve in curves), curves[0].images)

    def recall_at(self, threshold: float) -> float | None:
        return _ratio(int((self.correct & self.counts & (self.scores >= threshold)).sum()), self.labelled)

    def precision_at(self, threshold: float) -> float | None:
        kept = self.counts & (self.scores >= threshold)
        return _ratio(int((kept & self.correct).sum()), int(kept.sum()))

    def recall_at_false_positives(self, per_frame: float) -> float | None:
        """Recall at the lowest threshold with at most this many false positives per frame."""
        scores, correct = self._sorted()
        allowed = np.cumsum(~correct) <= per_frame * self.images + 1e-9
        # Detections of equal score pass the threshold together.
        ends = np.r_[scores[1:] != scores[:-1], True] if len(scores) else np.zeros(0, bool)
        usable = np.flatnonzero(allowed & ends)
        return _ratio(int(correct[: usable[-1] + 1].sum()) if len(usable) else 0, self.labelled)

    def roc(self, points: int = 100) -> tuple[list[float], list[float]]:
        """(false positives per frame, recall) as the threshold falls; at most this many points."""
        _, correct = self._sorted()
        kept = np.unique(np.linspace(0, max(len(correct) - 1, 0), points).astype(int))[: len(correct)]
        false_positives, recall = np.cumsum(~correct)[kept] / self.images, np.cumsum(correct)[kept]
        return false_positives.round(4).tolist(), (recall / max(self.labelled, 1)).round(4).tolist()

    @property
    def counted(self) -> tuple[np.ndarray, np.ndarray]:
        """(scores, correct) without the detections on ignored labels."""
        return self.scores[self.counts], self.correct[self.counts]

    def _sorted(self) -> tuple[np.ndarray, np.ndarray]:
        scores, correct = self.counted
        order = np.argsort(-scores, kind="stable")
        return scores[order], correct[order]


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _labels(records: Sequence[ObjectRecord], category_of: dict[int, int]) -> Any:
    """Labels as a COCO object. Ignored boxes are crowds: any number of detections may match one, none counts."""
    annotations = [
        _annotation(image, category_of[int(number)], box, iscrowd=int(ignored))
        for image, row in enumerate(records)
        for box, number, ignored in zip(row.labelled.boxes, row.labelled.classes, row.labelled.ignored)
        if int(number) in category_of
    ]
    return _coco(
        {
            "images": [{"id": image} for image in range(len(records))],
            "categories": [{"id": category} for category in sorted(set(category_of.values()))],
            "annotations": [{**each, "id": i} for i, each in enumerate(annotations, start=1)],
        }
    )


def _detections(truth: Any, records: Sequence[ObjectRecord], category_of: dict[int, int]) -> Any:
    annotations = [
        _annotation(image, category_of[int(number)], box, score=float(score))
        for image, row in enumerate(records)
        for box, score, number in zip(row.boxes, row.scores, row.classes)
        if int(number) in category_of
    ]
    return truth.loadRes(annotations) if annotations else _coco({**truth.dataset, "annotations": []})


def _coco(dataset: dict[str, Any]) -> Any:
    from pycocotools.coco import COCO

    coco: Any = COCO()
    coco.dataset = dataset
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def _annotation(image: int, category: int, box: np.ndarray, **more: Any) -> dict[str, Any]:
    x0, y0, x1, y1 = map(float, box)
    size = [x1 - x0, y1 - y0]
    return {"image_id": image, "category_id": category, "bbox": [x0, y0, *size], "area": size[0] * size[1], **more}
