"""Our drivable and semantic heads: class ids, final.

roles    map (h, w) uint8 ids into classes; any stride
options  none
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from camera_perception.core.model_spec import HeadSpec
from camera_perception.core.types import ClassMap, Task
from camera_perception.decode import Part
from camera_perception.decode.heads import Shapes, expect, expect_shape
from camera_perception.decode.palette import colors_of
from camera_perception.image.letterbox import Letterbox


def check(head: HeadSpec, shapes: Shapes) -> None:
    expect_shape(head, shapes, "map", "h", "w")
    check_classes(head)


def check_classes(head: HeadSpec) -> None:
    """A raster needs names for its ids, and belongs to a head that shows rasters."""
    expect(head.head in ("drivable", "semantic"), head, "only the heads 'drivable' and 'semantic' are class maps")
    expect(
        2 <= len(head.classes) <= 256,
        head,
        "expected 2 to 256 'classes', in the order of the ids",
    )


def decode(arrays: Mapping[str, np.ndarray], head: HeadSpec, letterbox: Letterbox, threshold: float) -> Part:
    """The threshold has no meaning here: the graph has decided."""
    return part_of(arrays["map"], head, letterbox)


def part_of(ids: np.ndarray, head: HeadSpec, letterbox: Letterbox) -> Part:
    """A raster over the whole network input, cut to the image, as this head's part. A copy."""
    cut = letterbox.crop(ids).astype(np.uint8, copy=False)
    if cut.max() >= len(head.classes):
        cut[cut >= len(head.classes)] = 0
    found = ClassMap(cut, head.classes, colors_of(head))
    return Part(Task.DRIVABLE, drivable=found) if head.head == "drivable" else Part(Task.SEMANTIC, semantic=found)
