"""Weather, scene and time of day: accuracy, confusion, calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from camera_perception.core.types import SceneAttribute
from perception_models.data.labels import SCENE, UNKNOWN
from perception_models.evaluation.metrics.scores import accuracy_of, calibration_error, confusion

SceneRecord = dict[str, tuple[int, int, float]]  # attribute: found, actual, score


def record(found: Sequence[SceneAttribute], labelled: Mapping[str, int]) -> SceneRecord:
    """Only labelled attributes; one that the model does not name counts as one more class."""
    out = {}
    for attribute in found:
        actual = labelled.get(attribute.name, UNKNOWN)
        if actual != UNKNOWN:
            names = SCENE[attribute.name]
            index = names.index(attribute.label) if attribute.label in names else len(names)
            out[attribute.name] = index, actual, attribute.score
    return out


def summarise(records: Sequence[SceneRecord]) -> dict[str, Any]:
    rows = {name: np.array([r[name] for r in records if name in r]).reshape(-1, 3) for name in SCENE}
    out = {name: _attribute(rows[name], SCENE[name]) for name in SCENE if len(rows[name])}
    known = [one["accuracy"] for one in out.values()]
    return {"images": len(records), "accuracy": float(np.mean(known)) if known else None, **out}


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
