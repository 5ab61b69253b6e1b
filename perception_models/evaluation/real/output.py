"""What a network reports on one picture, in one form for the model under test and for the public networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from camera_perception.core.boxes import nms
from camera_perception.core.types import LineType, Observations
from perception_models.data.labels import SEMANTIC

KINDS = ("person", "vehicle", "light", "sign", "cycle")
TEACHER_SCORE = 0.4  # operating point of the public detectors
KIND_OF = {
    "pedestrian": "person", "person": "person", "rider": "person",
    "car": "vehicle", "truck": "vehicle", "bus": "vehicle", "train": "vehicle", "vehicle": "vehicle",
    "traffic light": "light", "traffic sign": "sign", "motorcycle": "cycle", "bicycle": "cycle",
}  # fmt: skip
NOT_PAINTED = (LineType.ROAD_EDGE, LineType.CURB)
SAME_OBJECT = 0.6  # IoU of two boxes of one kind: a bus that is also reported as a truck counts once
NO_MAP = np.zeros((0, 0), np.uint8)
NO_SCORES = np.zeros(0, np.float32)


@dataclass(frozen=True)
class Output:
    """The findings on one picture; an empty map, and no weather, where the network has no such head.

    boxes      (N, 4) float32 x0 y0 x1 y1, pixels of the picture
    scores     (N,)   float32 0..1
    kinds      (N,)   int64   index into KINDS
    thresholds (N,)   float32 minimum score at which the network reports this box; empty: TEACHER_SCORE
    riders     (N,)   bool    people called riders; empty for networks without such a class
    road       (h, w) uint8   1 drivable, 0 not, covering the picture
    other_lane (h, w) uint8   1 drivable but not in the own lane, covering the picture
    semantic   (h, w) uint8   index into labels.SEMANTIC, covering the picture
    lines      published lane lines, (P, 2) float32 pixels each, near to far; None without lane head
    painted    which of the lines are called markings, not road edges or curbs
    weather    most probable weather, or "unknown"; None without scene head
    """

    boxes: np.ndarray
    scores: np.ndarray
    kinds: np.ndarray
    thresholds: np.ndarray = field(default_factory=lambda: NO_SCORES)
    riders: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    road: np.ndarray = field(default_factory=lambda: NO_MAP)
    other_lane: np.ndarray = field(default_factory=lambda: NO_MAP)
    semantic: np.ndarray = field(default_factory=lambda: NO_MAP)
    lines: tuple[np.ndarray, ...] | None = None
    painted: tuple[bool, ...] = ()
    weather: str | None = None

    def of(self, kind: str) -> tuple[np.ndarray, np.ndarray]:
        """Boxes and scores of one kind."""
        rows = self.kinds == KINDS.index(kind)
        return self.boxes[rows], self.scores[rows]

    def relative(self, kind: str) -> tuple[np.ndarray, np.ndarray]:
        """Boxes of one kind, and their scores as multiples of the score at which each is reported."""
        rows = self.kinds == KINDS.index(kind)
        least = self.thresholds if len(self.thresholds) else np.full(len(self.scores), TEACHER_SCORE)
        return self.boxes[rows], self.scores[rows] / np.maximum(least[rows], 1e-6)

    def save(self, path: Path) -> None:
        """Boxes and road only: what the networks whose outputs are kept have."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.npz")
        np.savez_compressed(part, boxes=self.boxes, scores=self.scores, kinds=self.kinds, road=self.road)
        part.replace(path)

    @staticmethod
    def load(path: Path) -> Output:
        with np.load(path) as arrays:
            return Output(**{name: arrays[name] for name in ("boxes", "scores", "kinds", "road")})


Network = Callable[[np.ndarray], Output]


def objects_only(
    boxes: np.ndarray, scores: np.ndarray, names: Sequence[str], thresholds: np.ndarray = NO_SCORES
) -> Output:
    """Objects of the kinds that are measured, each once; names has one class per box, thresholds one score or none."""
    kinds = np.array([KINDS.index(KIND_OF[name]) if name in KIND_OF else -1 for name in names], np.int64)
    rows = np.flatnonzero(kinds >= 0)
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)[rows]
    scores, kinds = np.asarray(scores, np.float32)[rows], kinds[rows]
    kept = nms(boxes, scores, kinds, SAME_OBJECT)
    riders = np.array([names[row] == "rider" for row in rows[kept]], bool)
    least = thresholds[rows[kept]] if len(thresholds) else NO_SCORES
    return Output(boxes[kept], scores[kept], kinds[kept], least, riders)


def from_observations(seen: Observations, classes: Sequence[str], thresholds: np.ndarray) -> Output:
    """What our pipeline's decoders found; thresholds (C,) are the minimum published scores of the classes."""
    detections = seen.detections
    names = [classes[i] for i in detections.classes]
    objects = objects_only(detections.boxes, detections.scores, names, thresholds[detections.classes])
    road, other, semantic = NO_MAP, NO_MAP, NO_MAP
    if seen.drivable is not None:
        ids, kinds = seen.drivable.ids, seen.drivable.names
        road = (ids != kinds.index("background")).astype(np.uint8)
        other = (ids == kinds.index("alternative") if "alternative" in kinds else 0 * ids).astype(np.uint8)
    if seen.semantic is not None:
        table = [SEMANTIC.index(name) if name in SEMANTIC else 255 for name in seen.semantic.names]
        semantic = np.array(table, np.uint8)[seen.semantic.ids]
    return replace(
        objects,
        road=road,
        other_lane=other,
        semantic=semantic,
        lines=tuple(line.points for line in seen.lanes),
        painted=tuple(line.line_type not in NOT_PAINTED for line in seen.lanes),
        weather=next((a.label for a in seen.scene if a.name == "weather"), None),
    )
