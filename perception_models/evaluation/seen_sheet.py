"""What a model saw, drawn in the same colours as labels."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from camera_perception.types import LineType, Seen
from perception_models.data.labels import LIGHT_STATES
from perception_models.data.sheet import draw_box, draw_line, draw_mask, draw_words


def draw_seen(
    image: np.ndarray, seen: Seen, kinds: Sequence[str], threshold: float, classes: Sequence[str]
) -> np.ndarray:
    """(H, W, 3) uint8 BGR copy with the found things of these kinds; objects from the threshold on."""
    out = image.copy()
    for kind, found in (("drivable", seen.drivable), ("semantic", seen.semantic)):
        if kind in kinds and found is not None:
            size = image.shape[1], image.shape[0]
            out = draw_mask(out, cv2.resize(found.ids, size, interpolation=cv2.INTER_NEAREST), kind)
    if "objects" in kinds:
        sure = seen.detections[seen.detections.scores >= threshold]
        for box, kind_, score, states in zip(sure.boxes, sure.classes, sure.scores, sure.light_states):
            state = LIGHT_STATES[int(states.argmax())] if len(states) == len(LIGHT_STATES) and states.any() else ""
            draw_box(out, box, f"{classes[kind_]} {state} {score:.2f}", int(kind_))
    if "lanes" in kinds:
        for line in seen.lanes:
            draw_line(out, line.points, line.position, LineType(line.line_type).name.lower())
    if "scene" in kinds:
        draw_words(out, [f"{one.name}: {one.label} {one.score:.2f}" for one in seen.scene])
    return out
