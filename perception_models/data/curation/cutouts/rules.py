"""Which labelled objects can be cut out, and which masks are good enough to keep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from perception_models.data.curation.boxes import Box, common, height, hull, width
from perception_models.data.curation.cutouts.masks import largest_part
from perception_models.data.labels import OBJECTS
from perception_models.data.sample import Boxes

PEOPLE, TWO_WHEELERS = ("pedestrian", "rider"), ("bicycle", "motorcycle")
VEHICLES = ("car", "truck", "bus")
CATEGORIES = (*PEOPLE, *TWO_WHEELERS, *VEHICLES)
MIN_HEIGHT = 60.0  # pixels
EDGE = 2.5  # pixels: nearer to the edge of the image is cut by it
COVERED = {"person": 0.45, "rider": 0.3, "block": 0.3}  # fraction of a box that other boxes may cover
STANDING = 1.7  # height / width of a person
AREA = {"person": (0.28, 0.8), "rider": (0.3, 0.85), "block": (0.5, 0.97)}  # mask / box
SOLID = {"person": 0.5, "rider": 0.5, "block": 0.85}  # mask / its convex hull
WHOLE = 0.97  # of the mask that its largest part holds
EXTENT = {"person": 0.85, "rider": 0.85, "block": 0.88}  # of the box that the mask spans
WHEELS = 0.05  # of the height of the box that may be missing below
NARROW = 0.8  # width / height; less of a vehicle that the edge of the image cuts says little
AGREEMENT = {"matting": 0.87, "grabcut": 0.88, "polygon": 0.0}
SHARP = 6.0  # mean absolute Laplacian at 100 pixels of height
COLOURED = 14.0  # mean saturation of the source image; lower: a black-and-white picture


@dataclass(frozen=True)
class Candidate:
    """An object to cut out, with the two-wheeler of a rider.

    boxes  pixels, the main object first
    """

    categories: tuple[str, ...]
    boxes: tuple[Box, ...]

    @property
    def box(self) -> Box:
        return hull(self.boxes)

    @property
    def shape(self) -> str:
        """One of masks.SHAPES."""
        if len(self.boxes) > 1:
            return "rider"
        return "person" if self.categories[0] == "pedestrian" else "block"


def candidates(boxes: Boxes) -> Iterator[Candidate]:
    """Certain objects of at least MIN_HEIGHT; a rider without a two-wheeler and a used two-wheeler are left out."""
    rows: list[tuple[str, Box]] = [
        (OBJECTS[kind], _tuple(box)) for box, kind in zip(*(c[~boxes.ignored] for c in (boxes.boxes, boxes.classes)))
    ]
    wheelers = [row for row in rows if row[0] in TWO_WHEELERS]
    for category, box in rows:
        if category not in CATEGORIES or height(box) < MIN_HEIGHT:
            continue
        touching = [row for row in wheelers if row[1] != box and common(row[1], box) > 0.05 * _area(box)]
        if category == "rider":
            if touching:
                best = max(touching, key=lambda row: common(row[1], box))
                yield Candidate((category, best[0]), (box, best[1]))
        elif category in TWO_WHEELERS and any(k in PEOPLE and common(b, box) > 0.1 * _area(box) for k, b in rows):
            continue
        elif not (category == "pedestrian" and touching):
            yield Candidate((category,), (box,))


def _tuple(box: np.ndarray) -> Box:
    x0, y0, x1, y1 = (float(side) for side in box)
    return x0, y0, x1, y1


def _area(box: Box) -> float:
    return max(width(box) * height(box), 1e-6)


def truncated_sides(box: Box, size: tuple[int, int]) -> tuple[str, ...]:
    """Sides at which the image of (height, width) cuts a box."""
    near = {
        "left": box[0] < EDGE,
        "top": box[1] < EDGE,
        "right": box[2] > size[1] - EDGE,
        "bottom": box[3] > size[0] - EDGE,
    }
    return tuple(side for side, cut in near.items() if cut)


def refusal(candidate: Candidate, boxes: Boxes, size: tuple[int, int]) -> str:
    """Why an object is not worth cutting out, from its boxes alone; empty if it is."""
    box, sides = candidate.box, truncated_sides(candidate.box, size)
    if "top" in sides or len(sides) > 1 or (sides and not _worth_a_part(candidate)):
        return "cut by the image edge"
    if candidate.shape == "person":
        shape = height(box) / max(width(box), 1)
        if shape < STANDING * (0.6 if sides == ("bottom",) else 1.0):
            return "not standing"
    if covered(candidate, boxes) > COVERED[candidate.shape]:
        return "covered"
    return ""


def _worth_a_part(candidate: Candidate) -> bool:
    """Whether an object that the image cuts can be used at an edge: people, and vehicles of which enough is seen."""
    wide = width(candidate.box) > NARROW * height(candidate.box)
    return candidate.shape == "person" or (candidate.categories[0] in VEHICLES and wide)


def covered(candidate: Candidate, boxes: Boxes) -> float:
    """Largest fraction that another box, whose lower edge is not clearly higher, covers; ignored boxes count, too."""
    box = candidate.box
    others = [_tuple(other) for other in boxes.boxes]
    nearer = [o for o in others if o[3] > box[3] - 0.1 * height(box) and all(_apart(o, own) for own in candidate.boxes)]
    return max((common(other, box) / _area(box) for other in nearer), default=0.0)


def _apart(a: Box, b: Box) -> bool:
    return common(a, b) < 0.7 * max(_area(a), _area(b))


def mask_refusal(mask: np.ndarray, candidate: Candidate, method: str, agreement: float) -> str:
    """Why a mask (H, W) 0 or 1 is not good enough; empty if it is."""
    shape, box = candidate.shape, candidate.box
    filled = float(mask.sum()) / _area(box)
    if agreement < AGREEMENT[method]:
        return "uncertain mask"
    if not AREA[shape][0] <= filled <= AREA[shape][1]:
        return "area"
    if int(largest_part(mask).sum()) < WHOLE * int(mask.sum()):
        return "several parts"
    u, v, across, down = cv2.boundingRect(mask)
    spanned = common((u, v, u + across, v + down), box)
    if spanned < EXTENT[shape] * _area(box) or box[3] - v - down > WHEELS * height(box):
        return "extent"
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    outline = max(contours, key=len)
    return "ragged" if mask.sum() < SOLID[shape] * cv2.contourArea(cv2.convexHull(outline)) else ""


def sharpness(image: np.ndarray, mask: np.ndarray) -> float:
    """Mean absolute Laplacian of the object, shrunk to 100 pixels of height."""
    u, v, across, down = cv2.boundingRect(mask)
    scale = min(1.0, 100 / max(down, 1))
    size = max(round(across * scale), 3), max(round(down * scale), 3)
    grey = cv2.cvtColor(image[v : v + down, u : u + across], cv2.COLOR_BGR2GRAY)
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    inner = cv2.resize(mask[v : v + down, u : u + across], size, interpolation=cv2.INTER_NEAREST) > 0
    edges = np.abs(cv2.Laplacian(small, cv2.CV_32F))
    return float(edges[inner].mean()) if inner.any() else 0.0


def coloured(image: np.ndarray) -> bool:
    """False for black-and-white and sepia pictures."""
    small = cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_BGR2LAB)[..., 1:].astype(float)
    return bool(lab.std((0, 1)).sum() > COLOURED / 4)
