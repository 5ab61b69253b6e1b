"""What mAP50 is lost to: each kind of mistake put right alone, after TIDE (Bolya et al. 2020, arXiv 2008.08115)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from perception_models.data.labels import OBJECTS
from perception_models.evaluation.metrics.lights import iou
from perception_models.evaluation.metrics.matching import CocoMatches, ObjectRecord

MATCH, NEAR = 0.5, 0.1  # IoU of a hit, and from which on a box was meant for a label
LOW = 12.0  # pixels; labels less high are a kind of their own
KINDS = ("right", "wrong class", "wrong place", "both wrong", "seen twice", "not there")


def costs(records: Sequence[ObjectRecord]) -> dict[str, float]:
    """Points of mAP50 (0 to 100) gained if all mistakes of one kind were put right, the others left as they are.

    wrong class, wrong place: the box becomes its label; both wrong, seen twice, not there: it goes; missed: so does the
    label that nothing was meant for; low: labels under LOW pixels high do not count
    """
    judged = [(one, *judge(one)) for one in records]
    gone = {name: _without(KINDS.index(name)) for name in ("both wrong", "seen twice", "not there")}
    cures = {"wrong class": _right_class, "wrong place": _right_place, **gone, "missed": _no_missed, "low": _no_low}
    before = map50(records)
    return {name: 100 * (map50([cure(*row) for row in judged]) - before) for name, cure in cures.items()}


def map50(records: Sequence[ObjectRecord]) -> float:
    """Mean over the classes that are labelled; nan if none is."""
    matches = CocoMatches(records, {i: i for i in range(len(OBJECTS))}, brief=True)
    values = [matches.row(i, 0.0)["ap50"] for i in range(len(OBJECTS))]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")


def judge(one: ObjectRecord) -> tuple[np.ndarray, np.ndarray]:
    """(N,) index into KINDS of each box found, and (N,) the label it was meant for, -1 none.

    The better score has the label; boxes of which an ignored label of their class covers half pass as right.
    """
    labels, kinds = one.labelled, np.zeros(len(one.found), int)
    meant, free = np.full(len(one.found), -1), ~labels.ignored
    if not len(labels):
        return kinds + KINDS.index("not there"), meant
    overlap = np.where(labels.ignored, _covered(one.found, labels.boxes), iou(one.found, labels.boxes))
    same = one.classes[:, None] == labels.classes
    for row in np.argsort(-one.scores, kind="stable"):
        name, meant[row] = _verdict(overlap[row], same[row], free, ~labels.ignored)
        kinds[row] = KINDS.index(name)
        if name == "right" and meant[row] >= 0:
            free[meant[row]] = False
    return kinds, meant


def _verdict(overlap: np.ndarray, same: np.ndarray, free: np.ndarray, counts: np.ndarray) -> tuple[str, int]:
    def best(class_mask: np.ndarray) -> tuple[float, int]:
        masked = np.where(class_mask, overlap, -1.0)
        return float(masked.max()), int(masked.argmax())

    (own, hit), (near, label), (other, else_label) = best(same & free), best(same & counts), best(~same & counts)
    if own >= MATCH:
        return "right", hit
    if best(same & ~counts)[0] >= MATCH:
        return "right", -1
    if near >= MATCH:
        return "seen twice", label
    if other >= MATCH:
        return "wrong class", else_label
    if near >= NEAR:
        return "wrong place", label
    return ("both wrong", else_label) if other >= NEAR else ("not there", -1)


def _covered(boxes: np.ndarray, by: np.ndarray) -> np.ndarray:
    """(N, M) share of each box that another covers."""
    area, other = ((b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1]) for b in (boxes, by))
    share = iou(boxes, by)
    return share / (1 + share) * (area[:, None] + other) / np.maximum(area, 1e-9)[:, None]


def _right_class(one: ObjectRecord, kinds: np.ndarray, meant: np.ndarray) -> ObjectRecord:
    rows = kinds == KINDS.index("wrong class")
    classes = one.classes.copy()
    classes[rows] = one.labelled.classes[meant[rows]]
    return _once(replace(one, classes=classes), kinds, meant, rows)


def _right_place(one: ObjectRecord, kinds: np.ndarray, meant: np.ndarray) -> ObjectRecord:
    rows = kinds == KINDS.index("wrong place")
    found = one.found.copy()
    found[rows] = one.labelled.boxes[meant[rows]]
    return _once(replace(one, found=found), kinds, meant, rows)


def _once(one: ObjectRecord, kinds: np.ndarray, meant: np.ndarray, cured: np.ndarray) -> ObjectRecord:
    """Without cured boxes whose label has a box already."""
    taken, kept = set(meant[kinds == 0].tolist()), np.ones(len(kinds), bool)
    for row in np.flatnonzero(cured)[np.argsort(-one.scores[cured], kind="stable")]:
        kept[row] = meant[row] not in taken
        taken.add(int(meant[row]))
    return _kept(one, kept)


def _without(kind: int) -> Callable[[ObjectRecord, np.ndarray, np.ndarray], ObjectRecord]:
    return lambda one, kinds, meant: _kept(one, kinds != kind)


def _kept(one: ObjectRecord, rows: np.ndarray) -> ObjectRecord:
    return replace(one, found=one.found[rows], scores=one.scores[rows], classes=one.classes[rows])


def _no_missed(one: ObjectRecord, kinds: np.ndarray, meant: np.ndarray) -> ObjectRecord:
    return _ignoring(one, ~np.isin(np.arange(len(one.labelled)), meant))


def _no_low(one: ObjectRecord, kinds: np.ndarray, meant: np.ndarray) -> ObjectRecord:
    return _ignoring(one, one.labelled.boxes[:, 3] - one.labelled.boxes[:, 1] < LOW)


def _ignoring(one: ObjectRecord, labels: np.ndarray) -> ObjectRecord:
    return replace(one, labelled=replace(one.labelled, ignored=one.labelled.ignored | labels))
