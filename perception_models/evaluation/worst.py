"""The images with the largest errors, labels and predictions side by side in the same colours."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from camera_perception.core.boxes import iou_matrix
from camera_perception.core.types import LineType, Observations
from perception_models.data.drawing import draw_box, draw_labels, draw_line, draw_mask, draw_text, tile
from perception_models.data.labels import LIGHT_STATES
from perception_models.data.sample import Sample
from perception_models.evaluation.metrics.scores import iou_of
from perception_models.evaluation.records import Record

KEPT = 8  # images per data set and part
THUMB = (240, 400)  # height, width


@dataclass
class Worst:
    """Keeps thumbnails of the KEPT images with the highest penalty, per data set and part of a Record."""

    classes: Sequence[str]  # of the model
    kept: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    _count: int = 0

    def consider(
        self, dataset: str, sample: Sample, observations: Observations, record: Record, threshold: float
    ) -> None:
        for part, penalty in penalties(record, threshold).items():
            heap = self.kept.setdefault((dataset, part), [])
            if penalty > 0 and (len(heap) < KEPT or penalty > heap[0][0]):
                self._count += 1  # breaks ties: images cannot be compared
                image = thumbnail(sample, observations, part, threshold, self.classes)
                entry = penalty, self._count, sample.name, image
                (heapq.heappush if len(heap) < KEPT else heapq.heapreplace)(heap, entry)

    def sheets(self) -> dict[tuple[str, str], list[tuple[str, float, np.ndarray]]]:
        """(data set, part): name, penalty and thumbnail, worst first."""
        return {
            key: [(name, penalty, image) for penalty, _, name, image in sorted(heap, reverse=True)]
            for key, heap in self.kept.items()
            if heap
        }


def penalties(record: Record, threshold: float) -> dict[str, float]:
    """Error of each part of a record; 0 is perfect."""
    out = {}
    if record.objects is not None:
        out["objects"] = _object_errors(record, threshold)
    if record.lanes is not None:
        out["lanes"] = float(record.lanes.found + record.lanes.labelled - 2 * record.lanes.correct)
    for part in ("drivable", "semantic"):
        counts = getattr(record, part)
        if counts is not None and counts.sum():
            out[part] = 1 - float(np.nanmean(iou_of(counts)))
    if record.scene:
        out["scene"] = float(sum(score for found, actual, score in record.scene.values() if found != actual))
    for part in ("crops", "lights"):
        lights = getattr(record, part)
        if lights is not None:
            out[part] = float((lights.found != lights.actual).sum())
    return out


def _object_errors(record: Record, threshold: float) -> float:
    """Missed labels plus detections that overlap no label."""
    objects = record.objects
    assert objects is not None
    boxes, labelled = objects.boxes[objects.scores >= threshold], objects.labelled
    overlap = iou_matrix(labelled.boxes, boxes) >= 0.5
    missed = (~overlap.any(1) & ~labelled.ignored).sum()
    return float(missed + len(boxes) - overlap.any(0).sum())


def thumbnail(
    sample: Sample, observations: Observations, part: str, threshold: float, classes: Sequence[str]
) -> np.ndarray:
    """Labels on the left, predictions on the right."""
    drawn = "objects" if part in ("crops", "lights") else part
    images = [
        draw_labels(sample, (drawn,)),
        draw_observations(sample.image, observations, (drawn,), threshold, classes),
    ]
    if part == "crops":  # the light is small and in the middle
        height, width = sample.size
        images = [image[height // 4 : -height // 4, width // 4 : -width // 4] for image in images]
    return tile(images, 2, THUMB)


def draw_observations(
    image: np.ndarray, observations: Observations, parts: Sequence[str], threshold: float, classes: Sequence[str]
) -> np.ndarray:
    """(H, W, 3) uint8 BGR copy with the predictions of these parts; objects at or above the threshold."""
    out = image.copy()
    for part, predicted in (("drivable", observations.drivable), ("semantic", observations.semantic)):
        if part in parts and predicted is not None:
            size = image.shape[1], image.shape[0]
            out = draw_mask(out, cv2.resize(predicted.ids, size, interpolation=cv2.INTER_NEAREST), part)
    if "objects" in parts:
        shown = observations.detections[observations.detections.scores >= threshold]
        for box, number, score, states in zip(shown.boxes, shown.classes, shown.scores, shown.light_states):
            state = LIGHT_STATES[int(states.argmax())] if len(states) == len(LIGHT_STATES) and states.any() else ""
            draw_box(out, box, f"{classes[number]} {state} {score:.2f}", int(number))
    if "lanes" in parts:
        for line in observations.lanes:
            draw_line(out, line.points, line.position, LineType(line.line_type).name.lower())
    if "scene" in parts:
        draw_text(out, [f"{each.name}: {each.label} {each.score:.2f}" for each in observations.scene])
    return out
