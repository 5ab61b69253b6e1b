"""Objects and lane lines keep their ids over frames. Time comes from stamps only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from camera_perception.types import LaneLine, Objects


def iou_matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, 4) and (M, 4) boxes x0 y0 x1 y1 -> (N, M) intersection over union."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    inside = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (a, b)]
    return inside / np.maximum(areas[0][:, None] + areas[1][None] - inside, 1e-9)


class ObjectTracker:
    """Boxes matched to those of the frame before by overlap."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes
        self.reset()

    def reset(self) -> None:
        self._last: Objects | None = None
        self._next_id = 1

    def update(self, objects: Objects, stamp_ns: int) -> Objects:
        """The objects of this frame with track ids and ages."""
        ids, ages = np.zeros(len(objects), np.int64), np.ones(len(objects), np.int32)
        if self._last is not None and len(objects) and len(self._last):
            overlap = iou_matrix(objects.boxes, self._last.boxes)
            for row, column in zip(*linear_sum_assignment(-overlap)):
                if overlap[row, column] > 0.3:
                    ids[row], ages[row] = self._last.track_ids[column], self._last.ages[column] + 1
        new = ids == 0
        ids[new] = np.arange(self._next_id, self._next_id + new.sum())
        self._next_id += int(new.sum())
        self._last = replace(objects, track_ids=ids, ages=ages)
        return self._last


class LaneTracker:
    """Lines keep an id per position relative to the car."""

    def reset(self) -> None:
        pass

    def update(self, lanes: tuple[LaneLine, ...], stamp_ns: int) -> tuple[LaneLine, ...]:
        """The lines of this frame with ids."""
        return tuple(replace(lane, lane_id=lane.position + 4) for lane in lanes)
