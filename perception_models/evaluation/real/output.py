"""What a network reports on one picture, in one form for the model under test and for the public networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from camera_perception.core.boxes import nms
from camera_perception.core.types import Observations
from perception_models.data.labels import SEMANTIC

KINDS = ("person", "vehicle", "light")
KIND_OF = {
    "pedestrian": "person", "person": "person", "rider": "person",
    "car": "vehicle", "truck": "vehicle", "bus": "vehicle", "train": "vehicle", "vehicle": "vehicle",
    "traffic light": "light",
}  # fmt: skip
SAME_OBJECT = 0.6  # IoU of two boxes of one kind: a bus that is also reported as a truck counts once
NO_MAP = np.zeros((0, 0), np.uint8)


@dataclass(frozen=True)
class Output:
    """The findings on one picture; an empty map, and no weather, where the network has no such head.

    boxes     (N, 4) float32 x0 y0 x1 y1, pixels of the picture
    scores    (N,)   float32 0..1
    kinds     (N,)   int64   index into KINDS
    road      (h, w) uint8   1 drivable, 0 not, covering the picture
    semantic  (h, w) uint8   index into labels.SEMANTIC, covering the picture
    lines     published lane lines, (P, 2) float32 pixels each, near to far; None without lane head
    weather   most probable weather; "" below the threshold or without scene head
    """

    boxes: np.ndarray
    scores: np.ndarray
    kinds: np.ndarray
    road: np.ndarray = field(default_factory=lambda: NO_MAP)
    semantic: np.ndarray = field(default_factory=lambda: NO_MAP)
    lines: tuple[np.ndarray, ...] | None = None
    weather: str | None = None

    def of(self, kind: str) -> tuple[np.ndarray, np.ndarray]:
        """Boxes and scores of one kind."""
        rows = self.kinds == KINDS.index(kind)
        return self.boxes[rows], self.scores[rows]

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


def objects_only(boxes: np.ndarray, scores: np.ndarray, names: Sequence[str]) -> Output:
    """Objects of the kinds that are measured, each once; names has one class per box."""
    kinds = np.array([KINDS.index(KIND_OF[name]) if name in KIND_OF else -1 for name in names], np.int64)
    rows = np.flatnonzero(kinds >= 0)
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)[rows]
    scores, kinds = np.asarray(scores, np.float32)[rows], kinds[rows]
    kept = nms(boxes, scores, kinds, SAME_OBJECT)
    return Output(boxes[kept], scores[kept], kinds[kept])


def from_observations(seen: Observations, classes: Sequence[str], scene_threshold: float) -> Output:
    """What our pipeline's decoders found; attributes below the threshold are not published."""
    detections = seen.detections
    objects = objects_only(detections.boxes, detections.scores, [classes[i] for i in detections.classes])
    road, semantic = NO_MAP, NO_MAP
    if seen.drivable is not None:
        road = (seen.drivable.ids != seen.drivable.names.index("background")).astype(np.uint8)
    if seen.semantic is not None:
        table = [SEMANTIC.index(name) if name in SEMANTIC else 255 for name in seen.semantic.names]
        semantic = np.array(table, np.uint8)[seen.semantic.ids]
    weather = [a.label if a.score >= scene_threshold else "" for a in seen.scene if a.name == "weather"]
    lines = tuple(line.points for line in seen.lanes)
    return Output(objects.boxes, objects.scores, objects.kinds, road, semantic, lines, weather[0] if weather else None)
