"""One thing that a network said about a picture, and how much of it another look still says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from camera_perception.core.types import LaneLine, LineColor, LineType, Observations

NEAR = 0.02  # of the picture's width: within it a line counts as the same


@dataclass(frozen=True)
class Question:
    """Why did you say this?

    kind   object | lane | scene
    title  for people
    score  0..1, as it was said
    name   class of the object, position of the line such as "-1", or name of the scene's attribute
    label  index of the object's class; of a scene's attribute, its words
    shape  (2, 2) corners of the box or (P, 2) points of the line, pixels of the network's input; (0, 2) for a scene
    near   pixels within which a line counts as the same
    """

    kind: str
    title: str
    score: float
    name: str
    label: int | str
    shape: np.ndarray
    near: float = 0.0

    def area(self, size: tuple[int, int]) -> np.ndarray:
        """(H, W) bool: the pixels that the thing itself covers; nothing for a scene."""
        mask = np.zeros(size, np.uint8)
        corners = np.rint(self.shape).astype(np.int32)
        if self.kind == "object":
            cv2.rectangle(mask, corners[0].tolist(), corners[1].tolist(), 1, -1)
        if self.kind == "lane":
            cv2.polylines(mask, [corners], False, 1, max(3, round(2 * self.near)))
        return mask.astype(bool)


def questions(
    seen: Observations, thresholds: dict[str, float], classes: Sequence[str], width: int, most: int
) -> list[Question]:
    """What was said of a picture of that width, from its threshold on; of the objects the surest `most`."""
    found = seen.detections
    sure = [i for i in np.argsort(-found.scores)[:most] if found.scores[i] >= thresholds["objects"]]
    objects = [_object(found.boxes[i], float(found.scores[i]), int(found.classes[i]), classes) for i in sure]
    lanes = [_lane(line, NEAR * width) for line in seen.lanes if line.score >= thresholds["lanes"]]
    return objects + lanes + [_scene(a.name, a.label, a.score) for a in seen.scene]


def answer(question: Question, seen: Observations) -> float:
    """0..1: how much of it this look says too (for objects score times overlap: D-RISE, arXiv 2006.03204)."""
    if question.kind == "object":
        same = seen.detections[seen.detections.classes == question.label]
        return float(max(same.scores * _overlaps(question.shape.ravel(), same.boxes), default=0.0))
    if question.kind == "lane":
        same_place = [line for line in seen.lanes if str(line.position) == question.name]
        return max((_alike(question, line) for line in same_place), default=0.0)
    return next((a.score for a in seen.scene if (a.name, a.label) == (question.name, question.label)), 0.0)


def _object(box: np.ndarray, score: float, kind: int, classes: Sequence[str]) -> Question:
    return Question("object", f"{classes[kind]} {score:.2f}", score, classes[kind], kind, box.reshape(2, 2).copy())


def _lane(line: LaneLine, near: float) -> Question:
    kinds = [v.name.lower().replace("_", " ") for v in (LineColor(line.color), LineType(line.line_type))]
    words = f"line {line.position:+d} {' '.join(kinds)} {line.score:.2f}"
    return Question("lane", words, line.score, str(line.position), "", line.points.copy(), near)


def _scene(name: str, label: str, score: float) -> Question:
    return Question("scene", f"{name}: {label} {score:.2f}", score, name, label, np.zeros((0, 2), np.float32))


def _overlaps(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of one box (4,) with boxes (N, 4)."""
    corners = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    both = np.prod(np.clip(corners[1] - corners[0], 0, None), 1)
    areas = [np.prod(b[..., 2:] - b[..., :2], -1) for b in (box, boxes)]
    return both / np.maximum(areas[0] + areas[1] - both, 1e-6)


def _alike(asked: Question, line: LaneLine) -> float:
    """Score of a line times how near it is to the one asked about, row by row; rows that it lacks count as far."""
    mine, theirs = asked.shape[np.argsort(asked.shape[:, 1])], line.points[np.argsort(line.points[:, 1])]
    u = np.interp(mine[:, 1], theirs[:, 1], theirs[:, 0], left=np.inf, right=np.inf)
    return line.score * float(np.exp(-np.abs(u - mine[:, 0]) / asked.near).mean())
