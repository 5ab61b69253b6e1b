"""Regions of heads and number plates, given the boxes of people and vehicles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PEOPLE = {"pedestrian", "person", "rider", "other person", "cyclist"}
# Classes that are the region itself: the whole box is covered.
WHOLE_BOX = {"face": "head", "head": "head", "plate": "plate", "license plate": "plate", "licence plate": "plate"}
# Band of a vehicle box with the plates, as fractions of its height from the top: bumpers, tailgates, rear racks.
PLATES = {
    "car": (0.35, 1.0),
    "van": (0.4, 1.0),
    "truck": (0.5, 1.0),
    "bus": (0.5, 1.0),
    "trailer": (0.4, 1.0),
    "caravan": (0.4, 1.0),
    "motorcycle": (0.2, 1.0),
    "other vehicle": (0.35, 1.0),
}
# Head height as fractions of a person's box; the larger one counts: behind a parked car only head and shoulders show.
HEAD_OF_HEIGHT, HEAD_OF_WIDTH = 0.3, 0.9
SIDE = 0.1  # of the width, left and right of the band of plates; a margin of 0.15 makes up for it


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle to cover: pixels [x0, x1) x [y0, y1) of the image. content is "head" or "plate"."""

    x0: int
    y0: int
    x1: int
    y1: int
    content: str
    predicted: bool = False  # not detected in this image, but in one shortly before or after


@dataclass(frozen=True, slots=True)
class Settings:
    """How regions are covered.

    how     mosaic, blur or fill
    margin  added on every side, as a fraction of the region's size
    hold    seconds before and after a detection in which its predicted position is covered too; 0 for none
    whole   whole people and vehicles instead of heads and plates
    quality of rewritten jpeg and webp images, 0 to 100
    """

    how: str = "mosaic"
    margin: float = 0.15
    hold: float = 0.5
    whole: bool = False
    quality: int = 95


def can_be_covered(names: Sequence[str]) -> bool:
    """Whether a model with these classes detects anything that is covered."""
    return any(name in PEOPLE or name in PLATES or name in WHOLE_BOX for name in names)


def content_of(name: str) -> str:
    """What is covered of an object of this class: "head", "plate", or "" for nothing."""
    return "head" if name in PEOPLE else "plate" if name in PLATES else WHOLE_BOX.get(name, "")


def region_of(
    box: np.ndarray, name: str, size: tuple[int, int], settings: Settings, predicted: bool = False
) -> Region | None:
    """The head or plate region of one box x0 y0 x1 y1 in an image of size (height, width); None for other classes."""
    part = _part(box.astype(float), name, settings.whole)
    if part is None:
        return None
    x0, y0, x1, y1 = part
    more_x, more_y = settings.margin * (x1 - x0) + 2, settings.margin * (y1 - y0) + 2
    x0, y0, x1, y1 = _even((x0 - more_x, y0 - more_y, x1 + more_x, y1 + more_y), size)
    return Region(x0, y0, x1, y1, content_of(name), predicted) if x0 < x1 and y0 < y1 else None


def _part(box: np.ndarray, name: str, whole: bool) -> tuple[float, float, float, float] | None:
    """The part of a box that holds the head or the plates."""
    x0, y0, x1, y1 = box.tolist()
    if name in WHOLE_BOX or (whole and (name in PEOPLE or name in PLATES)):
        return x0, y0, x1, y1
    if name in PEOPLE:
        return x0, y0, x1, min(y1, y0 + max(HEAD_OF_HEIGHT * (y1 - y0), HEAD_OF_WIDTH * (x1 - x0)))
    if name in PLATES:
        top, bottom = PLATES[name]
        side, height = SIDE * (x1 - x0), y1 - y0
        return x0 + side, y0 + top * height, x1 - side, y0 + bottom * height
    return None


def _even(rectangle: Sequence[float], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Rounded outwards to even pixels, where chroma of YUV and Bayer images starts, and clipped to the image."""
    x0, y0 = (2 * math.floor(bound / 2) for bound in rectangle[:2])
    x1, y1 = (2 * math.ceil(bound / 2) for bound in rectangle[2:])
    return max(x0, 0), max(y0, 0), min(x1, size[1]), min(y1, size[0])
