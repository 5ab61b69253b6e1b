"""Segmentation metrics of drivable and semantic maps, from one confusion matrix over all images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from camera_perception.core.types import ClassMap
from perception_models.data.labels import IGNORE
from perception_models.evaluation.metrics.scores import accuracy_of, confusion, iou_of


def record(predicted: ClassMap, labelled: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """(classes + 1, classes + 1) counts at the resolution of the mask; the last column holds classes without labels.

    names  classes of the labels, in the order of the mask ids
    """
    ours = np.array([names.index(name) if name in names else len(names) for name in predicted.names])
    height, width = labelled.shape
    ids = ours[cv2.resize(predicted.ids, (width, height), interpolation=cv2.INTER_NEAREST)]
    known = labelled != IGNORE
    return confusion(ids[known], labelled[known], len(names) + 1)


def summarise(records: Sequence[np.ndarray], names: Sequence[str]) -> dict[str, Any]:
    """IoU per class, and their mean over the classes that are labelled anywhere."""
    counts = np.sum(records, 0)
    iou = iou_of(counts)[: len(names)]
    return {
        "images": len(records),
        "miou": float(np.nanmean(iou)) if np.isfinite(iou).any() else None,
        "accuracy": accuracy_of(counts),
        "iou": {name: None if np.isnan(value) else float(value) for name, value in zip(names, iou)},
        "confusion": counts[: len(names)].tolist(),
    }


def summarise_drivable(records: Sequence[np.ndarray], names: Sequence[str]) -> dict[str, Any]:
    """As above, plus drivable against the rest, for data that does not label whose lane it is."""
    counts = np.sum(records, 0)
    background = names.index("background")
    sides = np.arange(len(counts)) != background
    sides[-1] = False  # a class without labels is not road
    both = np.stack([counts[:, ~sides].sum(1), counts[:, sides].sum(1)], 1)
    both = np.stack([both[~sides].sum(0), both[sides].sum(0)])
    iou = iou_of(both)
    out = {"drivable_iou": None if np.isnan(iou[1]) else float(iou[1]), **summarise(records, names)}
    return {**out, "drivable_miou": float(np.nanmean(iou)) if np.isfinite(iou).any() else None}
