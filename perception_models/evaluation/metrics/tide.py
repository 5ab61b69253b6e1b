"""Error breakdown of mAP50: the gain from fixing each error type (TIDE, Bolya et al. 2020, arXiv 2008.08115)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from camera_perception.core.boxes import iou_matrix
from perception_models.data.labels import OBJECTS
from perception_models.evaluation.metrics.average_precision import CocoMatches, ObjectRecord
from perception_models.evaluation.metrics.scores import mean_of_known

FOREGROUND, BACKGROUND = 0.5, 0.1  # IoU of a match, and IoU below which a box is background
MIN_HEIGHT = 12.0  # pixels; lower labels are an error type of their own
ERRORS = ("correct", "classification", "localisation", "both", "duplicate", "background")

Fix = Callable[[ObjectRecord, np.ndarray, np.ndarray], ObjectRecord]


def costs(records: Sequence[ObjectRecord]) -> dict[str, float]:
    """Gain in mAP50 (points of 100) if all errors of one type were fixed and the others left as they are.

    classification, localisation  the box gets the class or the position of its label
    both, duplicate, background   the box is removed
    missed                        labels without any box are removed
    small                         labels below MIN_HEIGHT are ignored
    """
    classified = [(each, *classify(each)) for each in records]
    fixes: dict[str, Fix] = {
        "classification": _fix_class,
        "localisation": _fix_position,
        **{name: _without(ERRORS.index(name)) for name in ("both", "duplicate", "background")},
        "missed": _without_missed,
        "small": _without_small,
    }
    before = map50(records)
    return {name: 100 * (map50([fix(*row) for row in classified]) - before) for name, fix in fixes.items()}


def map50(records: Sequence[ObjectRecord]) -> float:
    """Mean over the labelled classes; nan if there is none."""
    matches = CocoMatches(records, {i: i for i in range(len(OBJECTS))}, brief=True)
    value = mean_of_known([matches.row(i, 0.0)["ap50"] for i in range(len(OBJECTS))])
    return float("nan") if value is None else value


def classify(record: ObjectRecord) -> tuple[np.ndarray, np.ndarray]:
    """(N,) index into ERRORS of each detection, and (N,) the label it is assigned to, -1 for none.

    A label goes to the detection with the higher score. A box half covered by an ignored label of its class is correct.
    """
    labels, errors = record.labelled, np.zeros(len(record.boxes), int)
    assigned, free = np.full(len(record.boxes), -1), ~labels.ignored
    if not len(labels):
        return errors + ERRORS.index("background"), assigned
    overlap = np.where(labels.ignored, _covered(record.boxes, labels.boxes), iou_matrix(record.boxes, labels.boxes))
    same = record.classes[:, None] == labels.classes
    for row in np.argsort(-record.scores, kind="stable"):
        name, assigned[row] = _error(overlap[row], same[row], free, ~labels.ignored)
        errors[row] = ERRORS.index(name)
        if name == "correct" and assigned[row] >= 0:
            free[assigned[row]] = False
    return errors, assigned


def _error(overlap: np.ndarray, same: np.ndarray, free: np.ndarray, counts: np.ndarray) -> tuple[str, int]:
    """Error type and label of one detection, from its overlap with the labels and bool masks of them."""

    def best(mask: np.ndarray) -> tuple[float, int]:
        masked = np.where(mask, overlap, -1.0)
        return float(masked.max()), int(masked.argmax())

    (own, match), (near, label), (other, other_label) = best(same & free), best(same & counts), best(~same & counts)
    if own >= FOREGROUND:
        return "correct", match
    if best(same & ~counts)[0] >= FOREGROUND:
        return "correct", -1
    if near >= FOREGROUND:
        return "duplicate", label
    if other >= FOREGROUND:
        return "classification", other_label
    if near >= BACKGROUND:
        return "localisation", label
    return ("both", other_label) if other >= BACKGROUND else ("background", -1)


def _covered(boxes: np.ndarray, by: np.ndarray) -> np.ndarray:
    """(N, M) fraction of each box that another one covers."""
    area, other = ((b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1]) for b in (boxes, by))
    iou = iou_matrix(boxes, by)
    return np.asarray(iou / (1 + iou) * (area[:, None] + other) / np.maximum(area, 1e-9)[:, None])


def _fix_class(record: ObjectRecord, errors: np.ndarray, assigned: np.ndarray) -> ObjectRecord:
    rows = errors == ERRORS.index("classification")
    classes = record.classes.copy()
    classes[rows] = record.labelled.classes[assigned[rows]]
    return _without_duplicates(replace(record, classes=classes), errors, assigned, rows)


def _fix_position(record: ObjectRecord, errors: np.ndarray, assigned: np.ndarray) -> ObjectRecord:
    rows = errors == ERRORS.index("localisation")
    boxes = record.boxes.copy()
    boxes[rows] = record.labelled.boxes[assigned[rows]]
    return _without_duplicates(replace(record, boxes=boxes), errors, assigned, rows)


def _without_duplicates(
    record: ObjectRecord, errors: np.ndarray, assigned: np.ndarray, fixed: np.ndarray
) -> ObjectRecord:
    """Remove fixed boxes whose label has a box already."""
    taken, kept = set(assigned[errors == 0].tolist()), np.ones(len(errors), bool)
    for row in np.flatnonzero(fixed)[np.argsort(-record.scores[fixed], kind="stable")]:
        kept[row] = assigned[row] not in taken
        taken.add(int(assigned[row]))
    return _keep(record, kept)


def _without(error: int) -> Fix:
    return lambda record, errors, assigned: _keep(record, errors != error)


def _keep(record: ObjectRecord, rows: np.ndarray) -> ObjectRecord:
    return replace(record, boxes=record.boxes[rows], scores=record.scores[rows], classes=record.classes[rows])


def _without_missed(record: ObjectRecord, errors: np.ndarray, assigned: np.ndarray) -> ObjectRecord:
    return _ignore(record, ~np.isin(np.arange(len(record.labelled)), assigned))


def _without_small(record: ObjectRecord, errors: np.ndarray, assigned: np.ndarray) -> ObjectRecord:
    return _ignore(record, record.labelled.boxes[:, 3] - record.labelled.boxes[:, 1] < MIN_HEIGHT)


def _ignore(record: ObjectRecord, labels: np.ndarray) -> ObjectRecord:
    return replace(record, labelled=replace(record.labelled, ignored=record.labelled.ignored | labels))
