"""Scene metrics: accuracy, confusion and calibration of weather, scene type and time of day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from camera_perception.core.types import SceneAttribute
from perception_models.data.labels import SCENE, UNKNOWN
from perception_models.evaluation.metrics.scores import accuracy_of, calibration_error, confusion, mean_of_known

SceneRecord = dict[str, tuple[int, int, float]]  # attribute: predicted, actual, score


def record(predicted: Sequence[SceneAttribute], labelled: Mapping[str, int]) -> SceneRecord:
    """Compare the labelled attributes; a value without a label counts as an additional class."""
    out = {}
    for attribute in predicted:
        actual = labelled.get(attribute.name, UNKNOWN)
        if actual != UNKNOWN:
            names = SCENE[attribute.name]
            index = names.index(attribute.label) if attribute.label in names else len(names)
            out[attribute.name] = index, actual, attribute.score
    return out


def summarise(records: Sequence[SceneRecord]) -> dict[str, Any]:
    rows = {name: np.array([r[name] for r in records if name in r]).reshape(-1, 3) for name in SCENE}
    out = {name: _attribute(rows[name], SCENE[name]) for name in SCENE if len(rows[name])}
    accuracy = mean_of_known([attribute["accuracy"] for attribute in out.values()])
    return {"images": len(records), "accuracy": accuracy, **out}


def _attribute(rows: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    found, actual = rows[:, 0].astype(int), rows[:, 1].astype(int)
    counts = confusion(found, actual, len(names) + 1)
    return {
        "images": len(rows),
        "accuracy": accuracy_of(counts),
        "labels": {n: float((found == i)[actual == i].mean()) for i, n in enumerate(names) if (actual == i).any()},
        "calibration_error": calibration_error(rows[:, 2], found == actual),
        "confusion": counts[: len(names)].tolist(),
    }
