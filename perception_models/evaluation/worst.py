"""The images on which a model does worst, with what it saw and what is labelled.

What a model saw, drawn in the same colours as labels.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from camera_perception.core.types import LineType, Observations
from perception_models.data.drawing import draw_box, draw_labels, draw_line, draw_mask, draw_text, tile
from perception_models.data.labels import LIGHT_STATES
from perception_models.data.sample import Sample
from perception_models.evaluation.metrics.lights import iou
from perception_models.evaluation.metrics.scores import iou_of
from perception_models.evaluation.records import Record


def draw_seen(
    image: np.ndarray, seen: Observations, kinds: Sequence[str], threshold: float, classes: Sequence[str]
) -> np.ndarray:
    """(H, W, 3) uint8 BGR copy with the found things of these kinds; objects from the threshold on."""
    out = image.copy()
    for kind, found in (("drivable", seen.drivable), ("semantic", seen.semantic)):
        if kind in kinds and found is not None:
            size = image.shape[1], image.shape[0]
            out = draw_mask(out, cv2.resize(found.ids, size, interpolation=cv2.INTER_NEAREST), kind)
    if "objects" in kinds:
        sure = seen.detections[seen.detections.scores >= threshold]
        for box, kind_, score, states in zip(sure.boxes, sure.classes, sure.scores, sure.light_states):
            state = LIGHT_STATES[int(states.argmax())] if len(states) == len(LIGHT_STATES) and states.any() else ""
            draw_box(out, box, f"{classes[kind_]} {state} {score:.2f}", int(kind_))
    if "lanes" in kinds:
        for line in seen.lanes:
            draw_line(out, line.points, line.position, LineType(line.line_type).name.lower())
    if "scene" in kinds:
        draw_text(out, [f"{one.name}: {one.label} {one.score:.2f}" for one in seen.scene])
    return out


KEPT = 8
THUMB = (240, 400)  # height, width


@dataclass
class Worst:
    """Keeps small pictures of the KEPT images with the highest penalty per data set and kind of label."""

    names: Sequence[str]  # of the model's object classes
    kept: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    _count: int = 0

    def consider(self, dataset: str, sample: Sample, seen: Observations, record: Record, threshold: float) -> None:
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


def penalties(record: Record, seen: Observations, threshold: float) -> dict[str, float]:
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


def thumbnail(sample: Sample, seen: Observations, kind: str, threshold: float, names: Sequence[str]) -> np.ndarray:
    """Labels on the left, what was found on the right."""
    drawn = "objects" if kind in ("crops", "lights") else kind
    pictures = [draw_labels(sample, (drawn,)), draw_seen(sample.image, seen, (drawn,), threshold, names)]
    if kind == "crops":  # the light is small and in the middle
        height, width = sample.size
        pictures = [picture[height // 4 : -height // 4, width // 4 : -width // 4] for picture in pictures]
    return tile(pictures, 2, THUMB)
