"""What a box shows of a thing: where the image or something nearer cuts it, what it stands on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from camera_perception.core.class_table import class_mask
from camera_perception.core.types import Edge, Objects

HANGING = class_mask("traffic light", "traffic sign", "stop sign")  # they stand on no road
RIDERS, MOUNTS = class_mask("rider"), class_mask("bicycle", "motorcycle")
STRIP = 0.025  # of the image's width, under which what its edge leaves of a thing has no place
# Plain numbers: with members of an enum, numpy takes ten times as long.
SIDES, ENDS, BOTTOM = int(Edge.LEFT | Edge.RIGHT), int(Edge.TOP | Edge.BOTTOM), int(Edge.BOTTOM)


def sound_boxes(boxes: np.ndarray) -> np.ndarray:
    """(N,) bool: finite boxes with an area."""
    with np.errstate(invalid="ignore"):
        return np.isfinite(boxes).all(axis=1) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])


def edges_touched(boxes: np.ndarray, image_size: tuple[int, int], margin: float = 2.0) -> np.ndarray:
    """(N, 4) boxes in a (height, width) image -> (N,) uint8 Edge bits."""
    height, width = image_size
    hits = boxes[:, :2] <= margin, boxes[:, 2:] >= (width - margin, height - margin)
    return np.packbits(np.concatenate(hits, axis=1), axis=1, bitorder="little")[:, 0]  # in the order of Edge


def bottom_hidden(boxes: np.ndarray) -> np.ndarray:
    """(N,) bool: the lower edge lies, for half its length, in a box that reaches lower: something nearer covers it."""
    x0, _, x1, bottom = boxes.T
    shared = np.minimum(x1[:, None], x1[None]) - np.maximum(x0[:, None], x0[None])
    covers = (bottom[None] > bottom[:, None] + 2) & (boxes[None, :, 1] < bottom[:, None])
    return (covers & (shared > 0.5 * (x1 - x0)[:, None])).any(axis=1)


def mounted(objects: Objects, classes: tuple[str, ...]) -> Objects:
    """The same, where riders reach down to the wheels of what they sit on."""
    riders = RIDERS.lookup(objects.classes, classes).nonzero()[0]
    mounts = MOUNTS.lookup(objects.classes, classes).nonzero()[0] if len(riders) else riders
    if not len(mounts):
        return objects
    boxes, (a, b) = objects.boxes.copy(), (objects.boxes[riders].T[:, :, None], objects.boxes[mounts].T[:, None])
    beside = np.minimum(a[2], b[2]) - np.maximum(a[0], b[0]) < 0.5 * (a[2] - a[0])
    apart = (b[1] > a[3]) | (b[3] < a[3]) | beside
    wheels = np.where(apart, np.inf, b[3]).min(axis=1)
    boxes[riders, 3] = np.where(np.isfinite(wheels), wheels, boxes[riders, 3])
    return replace(objects, boxes=boxes)


def strips(objects: Objects, width: int) -> np.ndarray:
    """(N,) bool: cut at a side so that a strip is left, whose lowest point may be anything but the contact."""
    boxes, cut = objects.boxes, (objects.truncated & SIDES) != 0
    return cut & (boxes[:, 2] - boxes[:, 0] < STRIP * width)
