"""The metrics that papers on BDD100K report, computed their way: YOLOP (Wu et al., 2022) and its successors.

Their conventions, kept on purpose: vehicles are one class and recall is the maximum on the curve; map metrics are means
over batches of 24 images at 640x360; lane lines are drawn 2 px wide at 1280x720 and compared as pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from camera_perception.core.types import Observations, Task
from perception_models.data.labels import DRIVABLE, IGNORE
from perception_models.data.sample import Sample
from perception_models.evaluation.metrics import objects
from perception_models.evaluation.metrics.average_precision import CocoMatches, ObjectRecord
from perception_models.evaluation.metrics.scores import confusion

BATCH = 24
SIZE = (360, 640)
LINE_WIDTH = 2  # at twice SIZE


class Yolop:
    """Collects images one by one; tasks without a head are not measured."""

    def __init__(self, classes: Sequence[str]):
        self.classes = classes
        self._objects: list[ObjectRecord] = []
        self._counts: dict[str, list[np.ndarray]] = {"drivable": [], "lanes": []}

    def update(self, observations: Observations, sample: Sample) -> None:
        if sample.boxes is not None and observations.tasks & Task.OBJECTS:
            detections = observations.detections
            self._objects.append(objects.record(detections, sample.boxes, self.classes, sample.known_classes))
        if sample.drivable is not None and observations.drivable is not None:
            classes = observations.drivable
            road = np.isin(classes.ids, [i for i, name in enumerate(classes.names) if name != DRIVABLE[0]])
            self._counts["drivable"].append(_compare(road, sample.drivable))
        if sample.lanes is not None and observations.tasks & Task.LANES:
            predicted, actual = (line_mask(lines, sample.size) for lines in (observations.lanes, sample.lanes.lines))
            self._counts["lanes"].append(confusion(predicted, actual, 2))

    def result(self) -> dict[str, Any]:
        out: dict[str, Any] = {}
        if self._objects:
            row = CocoMatches(self._objects, dict.fromkeys(objects.VEHICLE_IDS, 0)).row(0, 0.0)
            out |= {"vehicle_map50": row["ap50"], "vehicle_max_recall": row["max_recall"]}
        if self._counts["drivable"]:
            out["drivable_miou"] = batch_mean(self._counts["drivable"], lambda c: float(_iou(c).mean()))
        if self._counts["lanes"]:
            out["lane_iou"] = batch_mean(self._counts["lanes"], lambda c: float(_iou(c)[1]))
            out["lane_accuracy_yolop"] = batch_mean(self._counts["lanes"], lambda c: float(_recall(c)[1]))
            out["lane_accuracy_balanced"] = batch_mean(self._counts["lanes"], lambda c: float(_recall(c).mean()))
        return out


def batch_mean(counts: Sequence[np.ndarray], metric: Callable[[np.ndarray], float]) -> float:
    """Mean over batches of a metric of the summed confusion counts of each batch."""
    batches = [np.sum(counts[start : start + BATCH], 0) for start in range(0, len(counts), BATCH)]
    return float(np.mean([metric(batch) for batch in batches]))


def line_mask(lines: Sequence[Any], size: tuple[int, int]) -> np.ndarray:
    """(360, 640) uint8, 1 on lines: drawn at 1280x720 and reduced by taking every other pixel."""
    mask = np.zeros((2 * SIZE[0], 2 * SIZE[1]), np.uint8)
    scale = np.array([mask.shape[1] / size[1], mask.shape[0] / size[0]])
    points = [np.rint(line.points * scale - 0.5).astype(np.int32) for line in lines]
    cv2.polylines(mask, points, False, 1, LINE_WIDTH)
    return mask[::2, ::2]


def _compare(road: np.ndarray, mask: np.ndarray) -> np.ndarray:
    ids, actual = (cv2.resize(m.astype(np.uint8), SIZE[::-1], interpolation=cv2.INTER_NEAREST) for m in (road, mask))
    known = actual != IGNORE
    return confusion(ids[known], (actual[known] > 0).astype(np.uint8), 2)


def _iou(counts: np.ndarray) -> np.ndarray:
    inner = np.diag(counts)
    return np.asarray(inner / np.maximum(counts.sum(0) + counts.sum(1) - inner, 1))


def _recall(counts: np.ndarray) -> np.ndarray:
    return np.asarray(np.diag(counts) / np.maximum(counts.sum(1), 1))
