"""Regions to cover in each image, from the detections of all images of one camera.

Networks miss objects for a few frames: what is detected in one image is covered in its neighbours too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from camera_perception.core.types import Detections, Objects
from camera_perception.objects.tracker.config import TrackerConfig
from camera_perception.objects.tracker.tracker import ObjectTracker
from camera_perception.tools.privacy.regions import Region, Settings, region_of

GROWTH = 0.1  # added on every side of a predicted box, as a fraction of its size


@dataclass(frozen=True, slots=True)
class ImageDetections:
    """Detections in one image of size (height, width)."""

    stamp_ns: int
    size: tuple[int, int]
    detections: Detections


def plan_regions(
    images: Sequence[ImageDetections | None], names: Sequence[str], settings: Settings
) -> list[list[Region] | None]:
    """Regions of every image in order; None for an image that could not be decoded, which is None in `images` too."""
    decoded = [image for image in images if image is not None]
    predicted = iter(predict_both_ways(decoded, names, settings.hold))
    return [None if image is None else regions_of(image, next(predicted), names, settings) for image in images]


def regions_of(
    image: ImageDetections, predicted: Sequence[Objects], names: Sequence[str], settings: Settings
) -> list[Region]:
    """Regions to cover in one image: its detections, and the objects predicted for it from other images."""
    regions = _regions(image.detections.boxes, image.detections, image, names, settings)
    return regions + [
        region
        for objects in predicted
        for region in _regions(enlarged(objects.boxes), objects, image, names, settings, predicted=True)
        if not any(_inside(region, other) for other in regions)
    ]


def predict_both_ways(images: Sequence[ImageDetections], names: Sequence[str], seconds: float) -> list[list[Objects]]:
    """For each image the objects detected before and those detected after it, moved to its time.

    A head that is detected only nearby was there before: recordings can be read backwards.
    """
    forwards, backwards = BoxPredictor(names, seconds), BoxPredictor(names, seconds)
    before = [forwards.update(image) for image in images]
    after = [
        backwards.update(ImageDetections(-image.stamp_ns, image.size, image.detections)) for image in reversed(images)
    ]
    return [list(pair) for pair in zip(before, reversed(after))]


class BoxPredictor:
    """Predicts boxes for up to `seconds` after their last detection. Images come in the order of their stamps."""

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

    def update(self, image: ImageDetections) -> Objects:
        """The objects expected in this image that the network did not detect in it."""
        if not self._seconds:
            return Objects.of(image.detections[:0])
        objects = self._tracker.update(Objects.of(image.detections), image.stamp_ns, image_size=image.size)
        return objects[objects.coasted]


def enlarged(boxes: np.ndarray) -> np.ndarray:
    """(N, 4) boxes, larger by the error that a prediction may have."""
    more = GROWTH * (boxes[:, 2:] - boxes[:, :2])
    return np.concatenate((boxes[:, :2] - more, boxes[:, 2:] + more), axis=1)


def _regions(
    boxes: np.ndarray,
    objects: Detections | Objects,
    image: ImageDetections,
    names: Sequence[str],
    settings: Settings,
    predicted: bool = False,
) -> list[Region]:
    regions = (
        region_of(box, names[index], image.size, settings, predicted) for box, index in zip(boxes, objects.classes)
    )
    return [region for region in regions if region is not None]


def _inside(a: Region, b: Region) -> bool:
    return b.x0 <= a.x0 and b.y0 <= a.y0 and a.x1 <= b.x1 and a.y1 <= b.y1
