"""What a box shows of its object: truncation at the image border, occlusion, contact with the road."""

from __future__ import annotations

import numpy as np

from camera_perception.core.class_table import class_mask
from camera_perception.core.types import Edge, Objects

OVERHEAD = class_mask("traffic light", "traffic sign", "stop sign")  # they have no contact with the road
RIDERS, VEHICLES_RIDDEN = class_mask("rider"), class_mask("bicycle", "motorcycle")
# Plain numbers: with members of an enum, numpy takes ten times as long.
SIDES, ENDS, BOTTOM = int(Edge.LEFT | Edge.RIGHT), int(Edge.TOP | Edge.BOTTOM), int(Edge.BOTTOM)


def valid_boxes(boxes: np.ndarray) -> np.ndarray:
    """(N,) bool: finite boxes with an area."""
    with np.errstate(invalid="ignore"):
        positive = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        return np.asarray(np.isfinite(boxes).all(axis=1) & positive)


def edges_touched(boxes: np.ndarray, image_size: tuple[int, int], margin: float = 2.0) -> np.ndarray:
    """(N, 4) boxes in a (height, width) image -> (N,) uint8 Edge bits of borders within margin pixels."""
    height, width = image_size
    hits = boxes[:, :2] <= margin, boxes[:, 2:] >= (width - margin, height - margin)
    return np.packbits(np.concatenate(hits, axis=1), axis=1, bitorder="little")[:, 0]  # in the order of Edge


def occluded_bottom(boxes: np.ndarray) -> np.ndarray:
    """(N,) bool: at least half of the lower edge lies in a box that reaches lower, which is therefore nearer."""
    x0, _, x1, bottom = boxes.T
    shared = np.minimum(x1[:, None], x1[None]) - np.maximum(x0[:, None], x0[None])
    covers = (bottom[None] > bottom[:, None] + 2) & (boxes[None, :, 1] < bottom[:, None])
    return np.asarray((covers & (shared > 0.5 * (x1 - x0)[:, None])).any(axis=1))


def riders_on_vehicles(objects: Objects, classes: tuple[str, ...]) -> Objects:
    """The objects with the boxes of riders extended down to the wheels of their vehicles."""
    riders = RIDERS.lookup(objects.classes, classes).nonzero()[0]
    vehicles = VEHICLES_RIDDEN.lookup(objects.classes, classes).nonzero()[0] if len(riders) else riders
    if not len(vehicles):
        return objects
    boxes, (a, b) = objects.boxes.copy(), (objects.boxes[riders].T[:, :, None], objects.boxes[vehicles].T[:, None])
    beside = np.minimum(a[2], b[2]) - np.maximum(a[0], b[0]) < 0.5 * (a[2] - a[0])
    apart = (b[1] > a[3]) | (b[3] < a[3]) | beside
    wheels = np.where(apart, np.inf, b[3]).min(axis=1)
    boxes[riders, 3] = np.where(np.isfinite(wheels), wheels, boxes[riders, 3])
    return objects.with_columns(boxes=boxes)


def clipped_slivers(objects: Objects, min_width: float) -> np.ndarray:
    """(N,) bool: truncated at the left or right to less than min_width pixels; the lowest point may be anywhere."""
    boxes, cut = objects.boxes, (objects.truncated & SIDES) != 0
    return np.asarray(cut & (boxes[:, 2] - boxes[:, 0] < min_width))
