"""Calibrated scores, thresholds per class, and classes that are alternatives for one object, of object heads.

options  calibration: class -> [slope, offset]; the published score is sigmoid(slope * logit(network score) + offset)
         (Platt, 1999), so that it is the precision to expect; classes that are not named keep the network's score;
         thresholds: class -> minimum published score; classes that are not named use the head's threshold. A threshold
         that is asked for instead of the head's own scales all of them by the same factor;
         one_object: lists of classes of which an object has one, such as [[car, truck, bus]]: suppression of duplicates
         (nms_iou) treats each list as one class
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from camera_perception.core.errors import some_of
from camera_perception.core.model_spec import HeadSpec
from camera_perception.decode.heads import expect

TINY = 1e-6  # from 0 and 1, where the logit ends
LOWEST_CALIBRATED = 0.005  # network scores below this are never looked at where scores are calibrated


def check_scores(head: HeadSpec) -> None:
    """ModelError unless the options fit the classes."""
    for option in ("calibration", "thresholds"):
        unknown = [name for name in head.options.get(option, {}) if name not in head.classes]
        expect(not unknown, head, f"option '{option}' names {unknown}: expected some of {some_of(head.classes)}")
    named = [name for group in head.options.get("one_object", []) for name in group]
    wrong = sorted({name for name in named if name not in head.classes or named.count(name) > 1})
    expect(not wrong, head, f"option 'one_object' names {wrong}: expected classes of the head, each at most once")
    for name, pair in head.options.get("calibration", {}).items():
        fits = len(pair) == 2 and pair[0] > 0
        expect(fits, head, f"option 'calibration' gives {pair} for '{name}': expected a slope above 0 and an offset")
    for name, score in head.options.get("thresholds", {}).items():
        expect(0 <= score <= 1, head, f"option 'thresholds' gives {score} for '{name}': expected 0 to 1")


_KEPT: dict[tuple[int, object], tuple[HeadSpec, Any]] = {}  # what follows from a head alone, and the head itself
MOST_KEPT = 256


def kept(head: HeadSpec, what: object, make: Callable[[], Any]) -> Any:
    """The result of make for this head, made once. A head is a document that has been read: it does not change."""
    found = _KEPT.get((id(head), what))
    if found is None or found[0] is not head:
        if len(_KEPT) >= MOST_KEPT:
            _KEPT.clear()
        found = _KEPT[id(head), what] = head, make()
    return found[1]


def class_tables(head: HeadSpec, threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """`minimum_scores`, `object_groups` and `calibration_table` at once."""

    def tables() -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        return minimum_scores(head, threshold), object_groups(head), calibration_table(head)

    found: tuple[np.ndarray, np.ndarray, np.ndarray | None] = kept(head, ("tables", threshold), tables)
    return found


def minimum_scores(head: HeadSpec, threshold: float) -> np.ndarray:
    """(C,) float32 minimum published score of each class when this threshold is asked for."""
    least: np.ndarray = kept(head, threshold, lambda: _minimum_scores(head, threshold))
    return least


def _minimum_scores(head: HeadSpec, threshold: float) -> np.ndarray:
    own = head.options.get("thresholds", {})
    if not own or head.threshold <= 0:
        return np.full(len(head.classes), threshold, np.float32)
    scores = np.array([own.get(name, head.threshold) for name in head.classes])
    return np.asarray((scores * (threshold / head.threshold)).clip(0, 1), np.float32)


def lowest_network_score(head: HeadSpec, threshold: float) -> float:
    """Network scores below this are not published for any class."""
    if head.options.get("calibration"):
        return min(threshold, LOWEST_CALIBRATED)
    return float(minimum_scores(head, threshold).min(initial=1.0))


def object_groups(head: HeadSpec) -> np.ndarray:
    """(C,) int64: equal numbers for classes that are alternatives for one object."""
    groups: np.ndarray = kept(head, "groups", lambda: _object_groups(head))
    return groups


def _object_groups(head: HeadSpec) -> np.ndarray:
    groups = np.arange(len(head.classes))
    for group in head.options.get("one_object", []):
        numbers = [head.classes.index(name) for name in group]
        groups[numbers] = min(numbers, default=0)
    return groups


def calibrated(scores: np.ndarray, classes: np.ndarray, head: HeadSpec) -> np.ndarray:
    """(N,) published scores of network scores (N,) of these class indices; unchanged without calibration."""
    table = calibration_table(head)
    if table is None or not len(scores):
        return scores
    slope, offset = table[np.minimum(np.maximum(classes, 0), len(table) - 1)].T
    inside = np.minimum(np.maximum(scores, TINY), 1 - TINY).astype(float)
    return np.asarray(1 / (1 + np.exp(-slope * np.log(inside / (1 - inside)) - offset)), np.float32)


def calibration_table(head: HeadSpec) -> np.ndarray | None:
    """(C, 2) slope and offset; None for scores that are published as they are."""
    table: np.ndarray | None = kept(head, "calibration", lambda: _calibration_table(head))
    return table


def _calibration_table(head: HeadSpec) -> np.ndarray | None:
    pairs = head.options.get("calibration")
    return np.array([pairs.get(name, (1.0, 0.0)) for name in head.classes], float) if pairs else None


def reported(
    scores: np.ndarray, classes: np.ndarray, head: HeadSpec, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of candidates (N,) that are published, and their scores."""
    published = calibrated(scores, classes, head)
    known = np.minimum(np.maximum(classes, 0), len(head.classes) - 1)
    rows = (published >= minimum_scores(head, threshold)[known]).nonzero()[0]
    return rows, published[rows]
