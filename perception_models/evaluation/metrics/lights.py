"""Traffic-light states: of labelled lights that were found, and of single crops on grey."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from camera_perception.core.types import Detections
from perception_models.data.labels import LIGHT, LIGHT_STATES, UNKNOWN
from perception_models.data.sample import Boxes
from perception_models.evaluation.metrics.scores import accuracy_of, calibration_error, confusion

NAMES = (*LIGHT_STATES, "missed")
MISSED = len(LIGHT_STATES)


@dataclass(frozen=True)
class LightRecord:
    """Labelled lights of one image: (N,) true state, (N,) found state (MISSED if none), (N,) score of that state."""

    actual: np.ndarray
    found: np.ndarray
    scores: np.ndarray


def record(found: Detections, labelled: Boxes, states: Sequence[str], light: int, threshold: float) -> LightRecord:
    """Match at IoU 0.5 among lights above the threshold.

    states  the model's state names; light: its class index of "traffic light"
    """
    lights = labelled[(labelled.classes == LIGHT) & ~labelled.ignored & (labelled.light_states != UNKNOWN)]
    seen = found[(found.classes == light) & (found.scores >= threshold)]
    overlap = iou(lights.boxes, seen.boxes)
    best, scores = best_states(seen, states)
    out, sure = np.full(len(lights), MISSED), np.zeros(len(lights))
    for row, column in zip(*linear_sum_assignment(-overlap)):
        if overlap[row, column] >= 0.5:
            out[row], sure[row] = best[column], scores[column]
    return LightRecord(lights.light_states, out, sure)


def record_crop(found: Detections, actual: int, states: Sequence[str], light: int) -> LightRecord:
    """The state of the best light in a picture that shows one, whatever its score."""
    seen = found[found.classes == light]
    if len(seen) == 0:
        return LightRecord(np.array([actual]), np.array([MISSED]), np.zeros(1))
    best, scores = best_states(seen[[int(seen.scores.argmax())]], states)
    return LightRecord(np.array([actual]), best, scores)


def best_states(seen: Detections, states: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """(N,) index into LIGHT_STATES (MISSED for a state we do not have), (N,) its score."""
    ours = np.array([LIGHT_STATES.index(name) if name in LIGHT_STATES else MISSED for name in states] or [MISSED])
    if seen.light_states.shape[1] == 0:
        return np.full(len(seen), MISSED), np.zeros(len(seen))
    return ours[seen.light_states.argmax(1)], seen.light_states.max(1)


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, M) overlap of (N, 4) and (M, 4) boxes."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    inner = np.prod(np.maximum(high - low, 0), 2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], 1) for boxes in (a, b)]
    return inner / np.maximum(areas[0][:, None] + areas[1][None] - inner, 1e-9)


def summarise(records: Sequence[LightRecord]) -> dict[str, Any]:
    """accuracy: of the found ones; recall: found and right, of all labelled."""
    actual, found, scores = (np.concatenate([getattr(r, n) for r in records]) for n in ("actual", "found", "scores"))
    counts = confusion(found, actual, len(NAMES))[:MISSED]
    seen = found != MISSED
    return {
        "images": len(records),
        "labelled": len(actual),
        "accuracy": accuracy_of(counts[:, :MISSED]),
        "recall": float((found == actual).mean()) if len(actual) else None,
        "found": float(seen.mean()) if len(actual) else None,
        "states": {
            name: float((found == i)[actual == i].mean()) if (actual == i).any() else None
            for i, name in enumerate(LIGHT_STATES)
        },
        "calibration_error": calibration_error(scores[seen], (found == actual)[seen]),
        "confusion": counts.tolist(),
    }
