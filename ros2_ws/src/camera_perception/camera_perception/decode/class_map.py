"""Drivable and semantic heads of our networks: final class ids.

roles    map (h, w) uint8 ids into classes; any stride
options  islands: drivable regions smaller than this share of the largest one are dropped; 0..1, drivable heads only
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from camera_perception.core.model_spec import HeadSpec
from camera_perception.core.types import ClassMap, Task
from camera_perception.decode import Part
from camera_perception.decode.heads import Shapes, expect, expect_shape
from camera_perception.image.letterbox import Letterbox
from camera_perception.image.regions import drop_islands
from camera_perception.lanes.image_lines import BACKGROUND


def check(head: HeadSpec, shapes: Shapes) -> None:
    expect_shape(head, shapes, "map", "h", "w")
    check_class_names(head)


def check_class_names(head: HeadSpec) -> None:
    """ModelError unless the head is a class map with names for all ids, and its option `islands` fits."""
    expect(head.head in ("drivable", "semantic"), head, "only the heads 'drivable' and 'semantic' can be class maps")
    expect(2 <= len(head.classes) <= 256, head, "expected 2 to 256 'classes', in the order of the ids")
    islands = head.options.get("islands", 0)
    fits = 0 <= islands <= 1 and (head.head == "drivable" or not islands)
    expect(fits, head, "option 'islands' is a share of the largest region: expected 0 to 1, for 'drivable' only")


def decode(arrays: Mapping[str, np.ndarray], head: HeadSpec, letterbox: Letterbox, threshold: float) -> Part:
    """The threshold is unused: the graph outputs final classes."""
    return part_from_ids(arrays["map"], head, letterbox)


def part_from_ids(ids: np.ndarray, head: HeadSpec, letterbox: Letterbox) -> Part:
    """The Part of a raster over the whole network input, cropped to the image. A copy."""
    cropped = letterbox.crop(ids).astype(np.uint8, copy=False)
    if np.maximum.reduce(cropped, axis=None) >= len(head.classes):  # in a third of the calls of max
        cropped[cropped >= len(head.classes)] = 0
    if islands := head.options.get("islands"):
        cropped = np.ascontiguousarray(cropped)
        drop_islands(cropped, background_of(head), islands)
    found = ClassMap(cropped, head.classes, class_colors(head))
    return Part(Task.DRIVABLE, drivable=found) if head.head == "drivable" else Part(Task.SEMANTIC, semantic=found)


def background_of(head: HeadSpec) -> int:
    """The id of what is not drivable: that of the class "background", else 0."""
    return head.classes.index(BACKGROUND) if BACKGROUND in head.classes else 0


# The eight colours of Okabe and Ito (RGB), distinguishable with any colour vision; black first, for the background.
OKABE_ITO = np.array(
    [
        [0, 0, 0],
        [0, 158, 115],
        [230, 159, 0],
        [86, 180, 233],
        [240, 228, 66],
        [0, 114, 178],
        [213, 94, 0],
        [204, 121, 167],
    ],
    np.uint8,
)


def class_colors(head: HeadSpec) -> np.ndarray:
    """(len(classes), 3) uint8 RGB: the colours of model.json, or the default palette."""
    if head.colors:
        return np.array(head.colors, np.uint8)
    return colors_of(len(head.classes))


@lru_cache
def colors_of(count: int) -> np.ndarray:
    """(count, 3) uint8: the palette, repeated."""
    return OKABE_ITO[np.arange(count) % len(OKABE_ITO)]
