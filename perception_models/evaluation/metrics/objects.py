"""Boxes against labels, by pycocotools: AP as COCO defines it, recall at operating points, calibration of scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from camera_perception.core.types import Detections
from perception_models.data.labels import OBJECTS, VEHICLES
from perception_models.data.readers.scalabel import ALIASES
from perception_models.data.sample import ALL_CLASSES, Boxes
from perception_models.evaluation.metrics.lights import iou
from perception_models.evaluation.metrics.matching import AREAS, FP_PER_FRAME, CocoMatches, Curve, ObjectRecord
from perception_models.evaluation.metrics.scores import calibration_error, reliability
from perception_models.evaluation.metrics.tide import costs

VEHICLE_IDS = tuple(OBJECTS.index(name) for name in VEHICLES)


def record(
    found: Detections, labelled: Boxes, names: Sequence[str], known: frozenset[int] = ALL_CLASSES
) -> ObjectRecord:
    """What counts: found objects of classes that the picture is labelled for.

    names  the model's class names; "person" and the like of other models are taken for ours
    """
    names = [ALIASES.get(name, name) for name in names]
    ours = np.array([OBJECTS.index(name) if name in OBJECTS else -1 for name in names] or [-1])
    classes = ours[found.classes]
    kept = np.isin(classes, list(known))
    return ObjectRecord(found.boxes[kept], found.scores[kept], classes[kept], labelled)


def summarise(records: Sequence[ObjectRecord], threshold: float, curves: bool = True) -> dict[str, Any]:
    """All object figures. Classes without a labelled box are None and left out of the means.

    threshold  score of the operating point
    """
    per_class = CocoMatches(records, {i: i for i in range(len(OBJECTS))})
    vehicles = CocoMatches(records, dict.fromkeys(VEHICLE_IDS, 0))
    rows = {name: per_class.row(i, threshold) for i, name in enumerate(OBJECTS)}
    present = [row for row in rows.values() if row["labelled"]]
    merged = vehicles.row(0, threshold)
    every = Curve.joined([per_class.curve(i) for i in range(len(OBJECTS))])
    out = {
        "images": len(records),
        "map": mean([row["ap"] for row in present]),
        "map50": mean([row["ap50"] for row in present]),
        **{f"map50_{area}": mean([row[f"ap50_{area}"] for row in present]) for area in list(AREAS)[1:]},
        "vehicles": merged,
        "vehicle_map50": mean([rows[name]["ap50"] for name in VEHICLES]),
        "recall": every.recall_at(threshold),
        "precision": every.precision_at(threshold),
        f"recall_at_{FP_PER_FRAME}_fp_per_frame": every.recall_at_false_positives(FP_PER_FRAME),
        "calibration_error": calibration_error(*every.counted),
        "reliability": reliability(*every.counted).tolist(),
        "classes": rows,
        "confusion": class_confusion(records, threshold).tolist(),
    }
    if curves:
        out["costs"] = costs(records)
        out["curves"] = {name: per_class.precision_curve(i) for i, name in enumerate(OBJECTS) if rows[name]["labelled"]}
        out["curves"]["vehicles"] = vehicles.precision_curve(0)
        out["roc"] = {name: per_class.curve(OBJECTS.index(name)).roc() for name in out["curves"] if name in OBJECTS}
        out["roc"]["vehicles"] = vehicles.curve(0).roc()
    return out


def class_confusion(records: Sequence[ObjectRecord], threshold: float) -> np.ndarray:
    """(classes + 1, classes + 1) labelled by found class at IoU 0.5; last row: not there, last column: missed.

    Boxes are paired by overlap alone, so that a bus taken for a truck shows as such.
    """
    counts = np.zeros((len(OBJECTS) + 1,) * 2, int)
    for one in records:
        sure = one.scores >= threshold
        found, labels = one.classes[sure], one.labelled
        overlap = iou(labels.boxes, one.found[sure])
        rows, columns = linear_sum_assignment(-overlap)
        pairs = [(r, c) for r, c in zip(rows, columns) if overlap[r, c] >= 0.5]
        for row, column in pairs:
            counts[labels.classes[row], found[column]] += not labels.ignored[row]
        missed = np.setdiff1d(np.flatnonzero(~labels.ignored), [r for r, _ in pairs])
        on_ignored = overlap[labels.ignored].max(0, initial=0) >= 0.5
        extra = np.setdiff1d(np.flatnonzero(~on_ignored), [c for _, c in pairs])
        np.add.at(counts, (labels.classes[missed.astype(int)], len(OBJECTS)), 1)
        np.add.at(counts, (len(OBJECTS), found[extra.astype(int)]), 1)
    return counts


def mean(values: Sequence[float | None]) -> float | None:
    """Mean of what is known, None when nothing is."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
