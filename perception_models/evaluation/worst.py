"""The images on which a model does worst, with what it saw and what is labelled."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from camera_perception.types import Seen
from perception_models.data.sample import Sample
from perception_models.data.sheet import draw_labels, tile
from perception_models.evaluation.lights import iou
from perception_models.evaluation.records import Record
from perception_models.evaluation.scores import iou_of
from perception_models.evaluation.seen_sheet import draw_seen

KEPT = 8
THUMB = (240, 400)  # height, width


@dataclass
class Worst:
    """Keeps small pictures of the KEPT images with the highest penalty per data set and kind of label."""

    names: Sequence[str]  # of the model's object classes
    kept: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    _count: int = 0

    def consider(self, dataset: str, sample: Sample, seen: Seen, record: Record, threshold: float) -> None:
        for kind, penalty in penalties(record, seen, threshold).items():
            heap = self.kept.setdefault((dataset, kind), [])
            if penalty > 0 and (len(heap) < KEPT or penalty > heap[0][0]):
                self._count += 1  # so that equal penalties never compare pictures
                entry = penalty, self._count, sample.name, thumbnail(sample, seen, kind, threshold, self.names)
                (heapq.heappush if len(heap) < KEPT else heapq.heapreplace)(heap, entry)

    def sheets(self) -> dict[tuple[str, str], list[tuple[str, float, np.ndarray]]]:
        """(data set, kind): name, penalty and picture, worst first."""
        return {
            key: [(n, p, image) for p, _, n, image in sorted(heap, reverse=True)]
            for key, heap in self.kept.items()
            if heap
        }


def penalties(record: Record, seen: Seen, threshold: float) -> dict[str, float]:
    """0 for a perfect image, per kind of label it has."""
    out = {}
    if record.objects is not None:
        out["objects"] = _object_errors(record, threshold)
    if record.lanes is not None:
        out["lanes"] = float(record.lanes.found + record.lanes.labelled - 2 * record.lanes.right)
    for kind in ("drivable", "semantic"):
        counts = getattr(record, kind)
        if counts is not None and counts.sum():
            out[kind] = 1 - float(np.nanmean(iou_of(counts)))
    if record.scene:
        out["scene"] = float(sum(score for found, actual, score in record.scene.values() if found != actual))
    for kind in ("crops", "lights"):
        part = getattr(record, kind)
        if part is not None:
            out[kind] = float((part.found != part.actual).sum())
    return out


def _object_errors(record: Record, threshold: float) -> float:
    """Labelled boxes that nothing overlaps, plus found boxes that lie on no label."""
    part = record.objects
    assert part is not None
    sure = part.found[part.scores >= threshold]
    overlap = iou(part.labelled.boxes, sure) >= 0.5
    missed = (~overlap.any(1) & ~part.labelled.ignored).sum() if len(part.labelled) else 0
    return float(missed + (len(sure) - overlap.any(0).sum() if len(part.labelled) else len(sure)))


def thumbnail(sample: Sample, seen: Seen, kind: str, threshold: float, names: Sequence[str]) -> np.ndarray:
    """Labels on the left, what was found on the right."""
    drawn = "objects" if kind in ("crops", "lights") else kind
    pictures = [draw_labels(sample, (drawn,)), draw_seen(sample.image, seen, (drawn,), threshold, names)]
    if kind == "crops":  # the light is small and in the middle
        height, width = sample.size
        pictures = [picture[height // 4 : -height // 4, width // 4 : -width // 4] for picture in pictures]
    return tile(pictures, 2, THUMB)
