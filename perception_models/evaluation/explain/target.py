"""Targets of explanations: one prediction for an image, and how strongly other predictions agree with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from camera_perception.core.boxes import iou_matrix
from camera_perception.core.types import LaneLine, LineColor, LineType, Observations

LINE_TOLERANCE = 0.02  # fraction of the image width within which a line counts as the same


@dataclass(frozen=True)
class Target:
    """One prediction to explain.

    type       object | lane | scene
    title      for display
    score      0..1, as predicted
    name       class of the object, position of the line such as "-1", or name of the scene attribute
    label      class index of the object, or value of the scene attribute
    shape      (2, 2) corners of the box or (P, 2) points of the line, pixels of the network input; (0, 2) for a scene
    tolerance  pixels within which a line counts as the same
    """

    type: str
    title: str
    score: float
    name: str
    label: int | str
    shape: np.ndarray
    tolerance: float = 0.0

    def area(self, size: tuple[int, int]) -> np.ndarray:
        """(H, W) bool: the pixels of the object or line itself; none for a scene."""
        mask = np.zeros(size, np.uint8)
        corners = np.rint(self.shape).astype(np.int32)
        if self.type == "object":
            cv2.rectangle(mask, corners[0].tolist(), corners[1].tolist(), 1, -1)
        if self.type == "lane":
            cv2.polylines(mask, [corners], False, 1, max(3, round(2 * self.tolerance)))
        return mask.astype(bool)


def find_targets(
    observations: Observations, thresholds: Mapping[str, float], classes: Sequence[str], width: int, limit: int
) -> list[Target]:
    """Predictions above their thresholds for an image of this width; of the objects the `limit` most confident."""
    detections = observations.detections
    best = [i for i in np.argsort(-detections.scores)[:limit] if detections.scores[i] >= thresholds["objects"]]
    objects = [
        _object(detections.boxes[i], float(detections.scores[i]), int(detections.classes[i]), classes) for i in best
    ]
    lanes = [_lane(line, LINE_TOLERANCE * width) for line in observations.lanes if line.score >= thresholds["lanes"]]
    return objects + lanes + [_scene(each.name, each.label, each.score) for each in observations.scene]


def target_score(target: Target, observations: Observations) -> float:
    """0..1: how strongly observations agree with the target. Objects: score times IoU (D-RISE, arXiv 2006.03204)."""
    if target.type == "object":
        same = observations.detections[observations.detections.classes == target.label]
        return float(max(same.scores * iou_matrix(target.shape.reshape(1, 4), same.boxes)[0], default=0.0))
    if target.type == "lane":
        lines = [line for line in observations.lanes if str(line.position) == target.name]
        return max((_line_score(target, line) for line in lines), default=0.0)
    return next((a.score for a in observations.scene if (a.name, a.label) == (target.name, target.label)), 0.0)


def _object(box: np.ndarray, score: float, number: int, classes: Sequence[str]) -> Target:
    name = classes[number]
    return Target("object", f"{name} {score:.2f}", score, name, number, box.reshape(2, 2).copy())


def _lane(line: LaneLine, tolerance: float) -> Target:
    style = [v.name.lower().replace("_", " ") for v in (LineColor(line.color), LineType(line.line_type))]
    title = f"line {line.position:+d} {' '.join(style)} {line.score:.2f}"
    return Target("lane", title, line.score, str(line.position), "", line.points.copy(), tolerance)


def _scene(name: str, label: str, score: float) -> Target:
    return Target("scene", f"{name}: {label} {score:.2f}", score, name, label, np.zeros((0, 2), np.float32))


def _line_score(target: Target, line: LaneLine) -> float:
    """Score of a line times its closeness to the target, row by row; rows that it lacks count as infinitely far."""
    wanted, found = target.shape[np.argsort(target.shape[:, 1])], line.points[np.argsort(line.points[:, 1])]
    u = np.interp(wanted[:, 1], found[:, 1], found[:, 0], left=np.inf, right=np.inf)
    return line.score * float(np.exp(-np.abs(u - wanted[:, 0]) / target.tolerance).mean())
