"""Masks of drawn areas: polygons and lines over the masks of an image.

Ground and background leave labelled objects as they are; poles, signs, void and drawn objects cover them.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from perception_models.data.labels import DRIVABLE, IGNORE, SEMANTIC
from perception_models.data.sample import Sample
from perception_models.training.distill.maps import BOXED, touched

UNDRAWN, VOID = 254, 253  # in masks of areas, beside the ids of SEMANTIC and IGNORE
IN_FRONT = ("pole", "sign or signal", "void", *BOXED)  # these cover labelled objects, too, and make no border
FINER = 8  # areas are drawn at so many times the size of the mask: OpenCV fills whole pixels
WIDENED = 2  # pixels that OpenCV adds to a line
BORDER = 0.004  # half the width of the unlabelled strip between two areas, as a share of the image's width

Areas = list[dict[str, Any]]


def with_areas(sample: Sample, areas: Areas) -> dict[str, np.ndarray]:
    """{"semantic", "drivable"}: (H, W) uint8 ids, the masks of the sample with the areas drawn over them.

    drivable  only if the sample has such a mask. Drawn road keeps its direction, or has none (255) where the mask says
              background; everything else that is drawn is not drivable.
    """
    drawn = area_mask(areas, sample.size)
    visible = (drawn != UNDRAWN) & (_in_front(drawn) | ~_objects(sample))
    before = np.full(sample.size, IGNORE, np.uint8) if sample.semantic is None else sample.semantic
    masks = {"semantic": np.where(visible, np.where(drawn == VOID, np.uint8(IGNORE), drawn), before)}
    if sample.drivable is not None:
        masks["drivable"] = np.where(visible, _drivable(drawn, sample.drivable), sample.drivable)
    return masks


def _drivable(drawn: np.ndarray, before: np.ndarray) -> np.ndarray:
    """(H, W) uint8 drivable ids of drawn areas; `before` is the mask of the sample."""
    background = DRIVABLE.index("background")
    on_road = np.where(before == background, IGNORE, before)
    other = np.where(drawn == IGNORE, IGNORE, background)
    return np.where(drawn == SEMANTIC.index("road"), on_road, other).astype(np.uint8)


def _objects(sample: Sample) -> np.ndarray:
    """(H, W) bool: labelled as an object, or in the middle of its box."""
    boxed = touched(sample, [name for names in BOXED.values() for name in names], -0.1)
    if sample.semantic is None:
        return boxed
    return np.asarray(boxed | np.isin(sample.semantic, [SEMANTIC.index(name) for name in BOXED]))


def area_mask(areas: Areas, size: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8: class ids, VOID, UNDRAWN, and IGNORE in a strip along the borders between areas."""
    fine = np.full((size[0] * FINER, size[1] * FINER), UNDRAWN, np.uint8)
    for area in areas:
        _fill(fine, area)
    mask = fine[FINER // 2 :: FINER, FINER // 2 :: FINER]
    return np.where(_borders(mask), np.uint8(IGNORE), mask)


def _fill(mask: np.ndarray, area: dict[str, Any]) -> None:
    """Draw an area into a mask (H, W) uint8, in place."""
    scale = np.array(mask.shape[::-1]) / 1000
    points = np.round(np.array(area.get("polygon") or area["line"], float) * scale).astype(np.int32)
    if "polygon" in area:
        cv2.fillPoly(mask, [points], _id(area["class"]))
    else:
        width = max(round(area["width"] * scale[0]) - WIDENED, FINER)
        cv2.polylines(mask, [points], False, _id(area["class"]), width)


def _borders(mask: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels of an area near another area. Areas IN_FRONT make no border."""
    width = max(round(BORDER * mask.shape[1]), 1)
    near = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    behind = (mask != UNDRAWN) & ~_in_front(mask)
    highest = cv2.dilate(np.where(behind, mask, 0).astype(np.uint8), near)
    lowest = cv2.erode(np.where(behind, mask, 255).astype(np.uint8), near)
    return np.asarray(behind & (highest > lowest))


def _in_front(mask: np.ndarray) -> np.ndarray:
    return np.isin(mask, [_id(name) for name in IN_FRONT])


def _id(name: str) -> int:
    return VOID if name == "void" else SEMANTIC.index(name)
