"""What was found in one image is covered in its neighbours too: networks miss things for a few frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from camera_perception.object_track import ObjectTracker, TrackRules
from camera_perception.types import Detections, Objects

GROWTH = 0.1  # of the size of a box that is only predicted, on every side


@dataclass(frozen=True, slots=True)
class Look:
    """What was found in one image of size (height, width)."""

    stamp_ns: int
    size: tuple[int, int]
    found: Detections


class Hold:
    """Predicts boxes for up to `seconds` after they were last found. Images come in the order of their stamps."""

    def __init__(self, names: Sequence[str], seconds: float) -> None:
        rules = TrackRules(sure=0.3, begin=0.0, show=seconds, keep=seconds, proven=2, unproven=seconds)
        self._tracker = ObjectTracker(tuple(names), rules)
        self._seconds = seconds

    def update(self, look: Look) -> Objects:
        """The objects that this image should show, and does not as far as the network can tell."""
        if not self._seconds:
            return Objects.of(look.found[:0])
        objects = self._tracker.update(Objects.of(look.found), look.stamp_ns, image_size=look.size)
        return objects[objects.coasted]


def held_both_ways(looks: Sequence[Look], names: Sequence[str], seconds: float) -> list[list[Objects]]:
    """For each image what was found before and what will be found after it, moved to its time.

    A head that is found only when it is near was there before: recordings can be read backwards.
    """
    forwards, backwards = Hold(names, seconds), Hold(names, seconds)
    before = [forwards.update(look) for look in looks]
    after = [backwards.update(Look(-look.stamp_ns, look.size, look.found)) for look in reversed(looks)]
    return [list(pair) for pair in zip(before, reversed(after))]


def grown(boxes: np.ndarray) -> np.ndarray:
    """(N, 4) boxes, larger by what a prediction may be off."""
    more = GROWTH * (boxes[:, 2:] - boxes[:, :2])
    return np.concatenate((boxes[:, :2] - more, boxes[:, 2:] + more), axis=1)
