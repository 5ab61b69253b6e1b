"""Labelled boxes as plain tuples (few per image, so arrays would only be in the way), and those drawn by people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

Box = tuple[float, float, float, float]  # x0 y0 x1 y1, pixels


def width(box: Box) -> float:
    return box[2] - box[0]


def height(box: Box) -> float:
    return box[3] - box[1]


def area(box: Box) -> float:
    return max(width(box), 0.0) * max(height(box), 0.0)


def common(a: Box, b: Box) -> float:
    """Area of the intersection."""
    return area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))


def iou(a: Box, b: Box) -> float:
    shared = common(a, b)
    return shared / max(area(a) + area(b) - shared, 1e-9)


def inside(a: Box, b: Box) -> float:
    """Fraction of `a` that lies in `b`."""
    return common(a, b) / max(area(a), 1e-9)


def hull(boxes: Iterable[Box]) -> Box:
    x0, y0, x1, y1 = zip(*boxes)
    return min(x0), min(y0), max(x1), max(y1)


def mean(boxes: Sequence[Box], weights: Sequence[float]) -> Box:
    """Weighted mean of each side."""
    x0, y0, x1, y1 = np.average(np.array(boxes, float), 0, np.array(weights, float)).tolist()
    return x0, y0, x1, y1


def mirrored(box: Box, image_width: float) -> Box:
    return image_width - box[2], box[1], image_width - box[0], box[3]


def clipped(box: Box, size: tuple[int, int]) -> Box:
    """Cut to an image of (height, width)."""
    return max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(size[1])), min(box[3], float(size[0]))


def grown(box: Box, fraction: float) -> Box:
    """Larger by this fraction of its size on every side."""
    dx, dy = fraction * width(box), fraction * height(box)
    return box[0] - dx, box[1] - dy, box[2] + dx, box[3] + dy


@dataclass(frozen=True)
class TrueBox:
    """A box drawn by a person.

    name   as in Finding, or one of labels.OBJECTS
    crowd  covers several objects: ignored
    state  colour of a traffic light, or ""
    """

    box: Box
    name: str
    crowd: bool = False
    state: str = ""


@dataclass(frozen=True)
class Truth:
    """Boxes by people.

    classes  names for which these boxes win over detectors
    """

    boxes: tuple[TrueBox, ...] = ()
    classes: frozenset[str] = field(default_factory=frozenset)
