"""From what was found in the images of one camera to the regions that are covered in each of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from camera_perception.privacy.hold import Look, grown, held_both_ways
from camera_perception.privacy.regions import Region, Settings, region_of
from camera_perception.types import Detections, Objects


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
