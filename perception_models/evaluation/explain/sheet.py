"""Sheets of evidence maps: red supports the prediction, blue speaks against it; the prediction is drawn in white."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from perception_models.data.drawing import draw_text, tile
from perception_models.evaluation.explain.target import Target

COLUMNS = 3
FOR, AGAINST = np.array((40, 40, 255), np.float32), np.array((255, 120, 30), np.float32)  # BGR


WHOLE = slice(None), slice(None)


def sheet(
    image: np.ndarray, targets: Sequence[Target], maps: np.ndarray, shown: tuple[slice, slice] = WHOLE
) -> np.ndarray:
    """One panel per target, (rows * H, 3 * W, 3) uint8 BGR.

    shown  rows and columns of the image that are drawn: those that are not padding
    """
    panels = [panel(image, target, evidence, shown) for target, evidence in zip(targets, maps)]
    return tile(panels, COLUMNS, image[shown].shape[:2])


def panel(image: np.ndarray, target: Target, evidence: np.ndarray, shown: tuple[slice, slice] = WHOLE) -> np.ndarray:
    """(H, W, 3) uint8 BGR."""
    strength = np.clip(evidence / max(float(np.quantile(np.abs(evidence), 0.995)), 1e-12), -1, 1)[..., None]
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR).astype(np.float32)
    color = np.where(strength > 0, FOR, AGAINST)
    out = (grey + (color - grey) * 0.75 * np.abs(strength)).astype(np.uint8)
    corners = np.rint(target.shape).astype(np.int32)
    if target.type == "object":
        cv2.rectangle(out, corners[0].tolist(), corners[1].tolist(), (255, 255, 255), 1)
    if target.type == "lane":
        cv2.polylines(out, [corners], False, (255, 255, 255), 1, cv2.LINE_AA)
    out = np.ascontiguousarray(out[shown])
    draw_text(out, [target.title])
    return out
