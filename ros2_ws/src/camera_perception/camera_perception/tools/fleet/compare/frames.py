"""Frame by frame: how far two runs agree on the objects of the same image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from camera_perception.core.boxes import iou_matrix
from camera_perception.tools.fleet.store.query import connect
from camera_perception.tools.fleet.store.storage import Storage

SAME = 0.5  # IoU
FrameKey = tuple[str, str, int]  # recording_id, camera, frame
SELECT = """select recording_id, camera, frame, class_name, score, x0, y0, x1, y1 from objects
where reported and not coasted"""


@dataclass(frozen=True)
class Agreement:
    """Of one image: objects that both runs report, and those that only one does, weighted by their scores."""

    both: float
    only_before: float
    only_after: float

    @property
    def disagreement(self) -> float:
        """Objects on which the runs differ, in scores: two lost cars weigh more than one."""
        return self.only_before + self.only_after


def agreements(before: Storage, after: Storage) -> dict[FrameKey, Agreement]:
    """The agreement on every image with an object in either run."""
    old, new = objects_by_frame(before), objects_by_frame(after)
    return {key: agreement(old.get(key, []), new.get(key, [])) for key in old.keys() | new.keys()}


def agreement(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> Agreement:
    """Of the objects of one image."""
    pairs = matches(before, after)
    both = sum((before[i]["score"] + after[j]["score"]) / 2 for i, j in pairs.items())
    old = (row["score"] for i, row in enumerate(before) if i not in pairs)
    new = (row["score"] for j, row in enumerate(after) if j not in pairs.values())
    return Agreement(both, sum(old), sum(new))


def matches(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> dict[int, int]:
    """Index before: index after. Greedy matching by overlap of objects of one class."""
    found: dict[int, int] = {}
    taken: set[int] = set()
    for _, i, j in sorted(_overlaps(before, after), reverse=True):
        if i not in found and j not in taken:
            found[i] = j
            taken.add(j)
    return found


def _overlaps(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> Iterator[tuple[float, int, int]]:
    if before and after:
        overlap = iou_matrix(_boxes(before), _boxes(after))
        for i, j in np.argwhere(overlap >= SAME).tolist():
            if before[i]["class_name"] == after[j]["class_name"]:
                yield float(overlap[i, j]), i, j


def _boxes(rows: list[dict[str, Any]]) -> np.ndarray:
    return np.array([[row[side] for side in ("x0", "y0", "x1", "y1")] for row in rows], float)


def objects_by_frame(storage: Storage) -> dict[FrameKey, list[dict[str, Any]]]:
    """The reported objects of every image that has some."""
    connection = connect(storage)
    result = connection.execute(SELECT)
    names = [each[0] for each in result.description][3:]
    frames: dict[FrameKey, list[dict[str, Any]]] = {}
    while rows := result.fetchmany(100_000):
        for recording, camera, frame, *values in rows:
            frames.setdefault((recording, camera, frame), []).append(dict(zip(names, values)))
    connection.close()
    return frames
