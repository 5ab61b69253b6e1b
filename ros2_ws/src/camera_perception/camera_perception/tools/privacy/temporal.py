"""What was found in one image is covered in its neighbours too: networks miss things for a few frames.

From what was found in the images of one camera to the regions that are covered in each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from camera_perception.core.types import Detections, Objects
from camera_perception.objects.tracker.config import TrackerConfig
from camera_perception.objects.tracker.tracker import ObjectTracker
from camera_perception.tools.privacy.regions import Region, Settings, region_of

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
        config = TrackerConfig(
            init_score_factor=0.0,
            max_coast=max(seconds, 0.001),
            max_age=seconds,
            min_hits=2,
            tentative_lifetime=seconds,
        )
        self._tracker = ObjectTracker(tuple(names), config, high_score=0.3)
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


def plan(looks: Sequence[Look | None], names: Sequence[str], settings: Settings) -> list[list[Region] | None]:
    """Regions of every image in order; None for an image that could not be decoded, as its look is None."""
    seen = [look for look in looks if look is not None]
    predicted = iter(held_both_ways(seen, names, settings.hold))
    return [None if look is None else regions_of(look, next(predicted), names, settings) for look in looks]


def regions_of(look: Look, predicted: Sequence[Objects], names: Sequence[str], settings: Settings) -> list[Region]:
    """What is covered in one image: what was found in it, and what should be in it."""
    found = _regions(look.found.boxes, look.found, look, names, settings, held=False)
    return found + [
        region
        for objects in predicted
        for region in _regions(grown(objects.boxes), objects, look, names, settings, held=True)
        if not any(_inside(region, other) for other in found)
    ]


def _regions(
    boxes: np.ndarray, of: Detections | Objects, look: Look, names: Sequence[str], settings: Settings, held: bool
) -> list[Region]:
    regions = (region_of(box, names[number], look.size, settings, held) for box, number in zip(boxes, of.classes))
    return [region for region in regions if region is not None]


def _inside(a: Region, b: Region) -> bool:
    return b.x0 <= a.x0 and b.y0 <= a.y0 and a.x1 <= b.x1 and a.y1 <= b.y1
