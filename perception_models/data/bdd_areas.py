"""BDD100K's drivable areas as masks of ours."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from perception_models.data.bdd_lanes import flattened, parts_of
from perception_models.data.labels import DRIVABLE, IGNORE

OURS_FROM_2020 = np.full(256, IGNORE, np.uint8)
OURS_FROM_2020[:3] = DRIVABLE.index("road"), DRIVABLE.index("alternative"), DRIVABLE.index("background")
AREAS = {"direct": 1, "alternative": 2, "area/drivable": 1, "area/alternative": 2}


def drivable_from_mask(mask: np.ndarray) -> np.ndarray:
    """(H, W) uint8 of BDD100K's ids of 2020: 0 direct, 1 alternative, 2 background."""
    return OURS_FROM_2020[mask]


def drivable_from_labels(labels: Any, size: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8 painted from polygons; the own road over the alternatives."""
    mask = np.zeros(size, np.uint8)
    areas = []
    for label in labels:
        kind = AREAS.get((label.get("attributes") or {}).get("areaType") or label.get("category"))
        if kind and label.get("poly2d"):
            areas.append(
                (kind, [np.rint(flattened(part) - 0.5).astype(np.int32) for part in parts_of(label["poly2d"])])
            )
    for kind, polygons in sorted(areas, key=lambda area: -area[0]):
        cv2.fillPoly(mask, polygons, kind)
    return mask
