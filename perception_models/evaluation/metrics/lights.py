"""Traffic-light metrics: state of detected lights, and of single lights cropped onto grey."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from camera_perception.core.boxes import iou_matrix
from camera_perception.core.types import Detections
from perception_models.data.labels import LIGHT, LIGHT_STATES, UNKNOWN
from perception_models.data.sample import Boxes
from perception_models.evaluation.metrics.scores import accuracy_of, calibration_error, confusion

NAMES = (*LIGHT_STATES, "missed")
MISSED = len(LIGHT_STATES)


@dataclass(frozen=True)
class LightRecord:
    """Labelled lights of one image: (N,) true state, (N,) predicted state or MISSED, (N,) score of that state."""

    actual: np.ndarray
    found: np.ndarray
    scores: np.ndarray


def record(detections: Detections, labelled: Boxes, states: Sequence[str], light: int, threshold: float) -> LightRecord:
    """Match labelled lights and lights detected above the threshold at IoU 0.5.

    states  state names of the model
    light   class index of traffic lights in the model
    """
    lights = labelled[(labelled.classes == LIGHT) & ~labelled.ignored & (labelled.light_states != UNKNOWN)]
    detected = detections[(detections.classes == light) & (detections.scores >= threshold)]
    overlap = iou_matrix(lights.boxes, detected.boxes)
    best, best_scores = best_states(detected, states)
    found, scores = np.full(len(lights), MISSED), np.zeros(len(lights))
    for row, column in zip(*linear_sum_assignment(-overlap)):
        if overlap[row, column] >= 0.5:
            found[row], scores[row] = best[column], best_scores[column]
    return LightRecord(lights.light_states, found, scores)


def record_crop(detections: Detections, actual: int, states: Sequence[str], light: int) -> LightRecord:
    """State of the light with the highest score, however low, in an image of a single light."""
    lights = detections[detections.classes == light]
    if len(lights) == 0:
        return LightRecord(np.array([actual]), np.array([MISSED]), np.zeros(1))
    best = int(lights.scores.argmax())
    found, scores = best_states(lights[best : best + 1], states)
    return LightRecord(np.array([actual]), found, scores)


def best_states(lights: Detections, states: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """(N,) index into LIGHT_STATES, MISSED for a state that has no label; (N,) its score."""
    ours = np.array([LIGHT_STATES.index(name) if name in LIGHT_STATES else MISSED for name in states] or [MISSED])
    if lights.light_states.shape[1] == 0:
        return np.full(len(lights), MISSED), np.zeros(len(lights))
    return ours[lights.light_states.argmax(1)], lights.light_states.max(1)


def summarise(records: Sequence[LightRecord]) -> dict[str, Any]:
    """accuracy: of detected lights; recall: detected with the correct state, of all labelled lights."""
    actual, found, scores = (np.concatenate([getattr(r, n) for r in records]) for n in ("actual", "found", "scores"))
    counts = confusion(found, actual, len(NAMES))[:MISSED]
    detected = found != MISSED
    return {
        "images": len(records),
        "labelled": len(actual),
        "accuracy": accuracy_of(counts[:, :MISSED]),
        "recall": float((found == actual).mean()) if len(actual) else None,
        "found": float(detected.mean()) if len(actual) else None,
        "states": {
            name: float((found == i)[actual == i].mean()) if (actual == i).any() else None
            for i, name in enumerate(LIGHT_STATES)
        },
        "calibration_error": calibration_error(scores[detected], (found == actual)[detected]),
        "confusion": counts.tolist(),
    }
