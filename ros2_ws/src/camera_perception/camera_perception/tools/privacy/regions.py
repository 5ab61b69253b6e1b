"""Where heads and number plates are, given the boxes of people and vehicles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PEOPLE = {"pedestrian", "person", "rider", "other person", "cyclist"}
# Models that find the thing itself: the whole box is covered.
THEMSELVES = {"face": "head", "head": "head", "plate": "plate", "license plate": "plate", "licence plate": "plate"}
# From where to where in a box plates sit, in shares of its height from above: bumpers, tailgates, rear racks.
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
HEAD_OF_HEIGHT, HEAD_OF_WIDTH = 0.3, 0.9  # the larger one counts: behind a parked car only shoulders and head are seen
SIDE = 0.1  # of the width left and right of the plates' band; a margin of 0.15 makes up for it


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle to be covered: pixels [x0, x1) x [y0, y1) of the image. kind: head or plate."""

    x0: int
    y0: int
    x1: int
    y1: int
    kind: str
    held: bool = False  # not found in this image, but in one shortly before or after


@dataclass(frozen=True, slots=True)
class Settings:
    """How things are covered.

    how     mosaic, blur or fill
    margin  share of a region's size that is added on every side
    hold    seconds before and after a find for which its place is covered too; 0 none
    whole   whole people and vehicles instead of heads and plates
    quality of the jpeg and webp images that have to be written again, 0 to 100
    """

    how: str = "mosaic"
    margin: float = 0.15
    hold: float = 0.5
    whole: bool = False
    quality: int = 95


def hides(names: Sequence[str]) -> bool:
    """Whether a model with these classes can tell what to cover."""
    return any(name in PEOPLE or name in PLATES or name in THEMSELVES for name in names)


def region_of(
    box: np.ndarray, name: str, size: tuple[int, int], settings: Settings, held: bool = False
) -> Region | None:
    """The head or plate region of one box x0 y0 x1 y1 in an image of size (height, width); None for other classes."""
    place = _place(box.astype(float), name, settings.whole)
    if place is None:
        return None
    x0, y0, x1, y1 = place
    more_x, more_y = settings.margin * (x1 - x0) + 2, settings.margin * (y1 - y0) + 2
    rectangle = _even((x0 - more_x, y0 - more_y, x1 + more_x, y1 + more_y), size)
    kind = "head" if name in PEOPLE else "plate" if name in PLATES else THEMSELVES[name]
    return Region(*rectangle, kind, held) if rectangle[0] < rectangle[2] and rectangle[1] < rectangle[3] else None


def _place(box: np.ndarray, name: str, whole: bool) -> tuple[float, float, float, float] | None:
    x0, y0, x1, y1 = box.tolist()
    if name in THEMSELVES or (whole and (name in PEOPLE or name in PLATES)):
        return x0, y0, x1, y1
    if name in PEOPLE:
        return x0, y0, x1, min(y1, y0 + max(HEAD_OF_HEIGHT * (y1 - y0), HEAD_OF_WIDTH * (x1 - x0)))
    if name in PLATES:
        top, bottom = PLATES[name]
        side, height = SIDE * (x1 - x0), y1 - y0
        return x0 + side, y0 + top * height, x1 - side, y0 + bottom * height
    return None


def _even(rectangle: Sequence[float], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Rounded outwards to even pixels, where colour of YUV and Bayer images begins, and cut at the borders."""
    x0, y0 = (2 * math.floor(bound / 2) for bound in rectangle[:2])
    x1, y1 = (2 * math.ceil(bound / 2) for bound in rectangle[2:])
    return max(x0, 0), max(y0, 0), min(x1, size[1]), min(y1, size[0])
