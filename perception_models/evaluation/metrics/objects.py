"""Detection metrics: AP as COCO defines it, recall at operating points, calibration and class confusion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from camera_perception.core.boxes import iou_matrix
from camera_perception.core.types import Detections
from perception_models.data.labels import OBJECTS, VEHICLES, ClassNames
from perception_models.data.sample import ALL_CLASSES, Boxes
from perception_models.evaluation.metrics.average_precision import AREAS, FP_PER_FRAME, CocoMatches, Curve, ObjectRecord
from perception_models.evaluation.metrics.scores import calibration_error, mean_of_known, reliability
from perception_models.evaluation.metrics.tide import costs

CLASS_NAMES = ClassNames()
VEHICLE_IDS = tuple(OBJECTS.index(name) for name in VEHICLES)


def record(
    detections: Detections, labelled: Boxes, names: Sequence[str], known: frozenset[int] = ALL_CLASSES
) -> ObjectRecord:
    """Labels and the detections of classes that the image is labelled for.

    names  class names of the model; "person" and other aliases are translated
    known  classes that the image is labelled for
    """
    ours = np.array([CLASS_NAMES(name) for name in names] or [-1])
    classes = ours[detections.classes]
    kept = np.isin(classes, list(known))
    return ObjectRecord(detections.boxes[kept], detections.scores[kept], classes[kept], labelled)


def summarise(records: Sequence[ObjectRecord], threshold: float, curves: bool = True) -> dict[str, Any]:
    """All detection metrics. Classes without a labelled box are None and left out of the means.

    threshold  score of the operating point
    curves     also the error breakdown and the curves, which take most of the time
    """
    per_class = CocoMatches(records, {i: i for i in range(len(OBJECTS))})
    vehicles = CocoMatches(records, dict.fromkeys(VEHICLE_IDS, 0))
    rows = {name: per_class.row(i, threshold) for i, name in enumerate(OBJECTS)}
    present = [row for row in rows.values() if row["labelled"]]
    every = Curve.joined([per_class.curve(i) for i in range(len(OBJECTS))])
    out = {
        "images": len(records),
        "map": mean_of_known([row["ap"] for row in present]),
        "map50": mean_of_known([row["ap50"] for row in present]),
        **{f"map50_{area}": mean_of_known([row[f"ap50_{area}"] for row in present]) for area in list(AREAS)[1:]},
        "vehicles": vehicles.row(0, threshold),
        "vehicle_map50": mean_of_known([rows[name]["ap50"] for name in VEHICLES]),
        "recall": every.recall_at(threshold),
        "precision": every.precision_at(threshold),
        f"recall_at_{FP_PER_FRAME}_fp_per_frame": every.recall_at_false_positives(FP_PER_FRAME),
        "calibration_error": calibration_error(*every.counted),
        "reliability": reliability(*every.counted).tolist(),
        "classes": rows,
        "confusion": class_confusion(records, threshold).tolist(),
    }
    if curves:
        labelled = [i for i, name in enumerate(OBJECTS) if rows[name]["labelled"]]
        out["costs"] = costs(records)
        out["curves"] = {OBJECTS[i]: per_class.precision_curve(i) for i in labelled}
        out["curves"]["vehicles"] = vehicles.precision_curve(0)
        out["roc"] = {OBJECTS[i]: per_class.curve(i).roc() for i in labelled}
        out["roc"]["vehicles"] = vehicles.curve(0).roc()
    return out


def class_confusion(records: Sequence[ObjectRecord], threshold: float) -> np.ndarray:
    """(classes + 1, classes + 1) labelled by detected class at IoU 0.5; last row: background, last column: missed.

    Boxes are matched by overlap only, which shows a bus detected as a truck.
    """
    counts = np.zeros((len(OBJECTS) + 1,) * 2, int)
    for each in records:
        reported = each.scores >= threshold
        classes, labels = each.classes[reported], each.labelled
        overlap = iou_matrix(labels.boxes, each.boxes[reported])
        rows, columns = linear_sum_assignment(-overlap)
        pairs = [(r, c) for r, c in zip(rows, columns) if overlap[r, c] >= 0.5]
        for row, column in pairs:
            counts[labels.classes[row], classes[column]] += not labels.ignored[row]
        missed = np.setdiff1d(np.flatnonzero(~labels.ignored), [r for r, _ in pairs])
        on_ignored = overlap[labels.ignored].max(0, initial=0) >= 0.5
        extra = np.setdiff1d(np.flatnonzero(~on_ignored), [c for _, c in pairs])
        np.add.at(counts, (labels.classes[missed.astype(int)], len(OBJECTS)), 1)
        np.add.at(counts, (len(OBJECTS), classes[extra.astype(int)]), 1)
    return counts
