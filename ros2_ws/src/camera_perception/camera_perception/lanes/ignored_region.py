"""Parts of the image that are not the road: the own bonnet, a sticker, a time stamp. Nothing is reported in them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from camera_perception.core.documents.text import shorten
from camera_perception.core.errors import BadImage
from camera_perception.core.types import ClassMap, LaneLine, Observations
from camera_perception.image.files import read_file
from camera_perception.lanes.image_lines import BACKGROUND

SIDE = 320  # longest side of a mask in cells
MAX_COVERED = 0.5  # fraction of a box inside the region above which the object is part of it
MIN_POINTS = 2  # of a lane line
SUBPIXEL_BITS = 4  # of polygon corners


class IgnoredRegion:
    """A region of one camera's images, in any size; the images as the network sees them, turned.

    mask   (h, w) bool over the whole image; True is ignored
    hides  (h, w) bool: where objects are ignored, too; everywhere in the mask if it is None
    """

    def __init__(self, mask: np.ndarray, hides: np.ndarray | None = None) -> None:
        scale = min(1.0, SIDE / max(mask.shape))
        size = max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale))
        self.mask = _resized(mask, size)
        hiding = self.mask if hides is None else _resized(hides, size)
        self._sums = cv2.integral(hiding.astype(np.uint8))
        self._cells: dict[tuple[int, int], np.ndarray] = {}

    def cells(self, shape: tuple[int, int]) -> np.ndarray:
        """The region as (h, w) bool of this shape."""
        if shape not in self._cells:
            self._cells = {shape: _resized(self.mask, shape[::-1])}
        return self._cells[shape]

    def covered(self, boxes: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
        """(N,) fraction of each box (N, 4) x0 y0 x1 y1 that is where objects are ignored; image_size is (H, W)."""
        corners = np.asarray(boxes, float).reshape(-1, 4) * self._cells_per_pixel(image_size)[[0, 1, 0, 1]]
        rows, columns = self.mask.shape
        whole = np.rint(corners).astype(int).clip(0, (columns, rows, columns, rows))
        x0, y0, x1, y1 = whole.T
        x1, y1 = np.minimum(np.maximum(x1, x0 + 1), columns), np.minimum(np.maximum(y1, y0 + 1), rows)
        x0, y0 = np.minimum(x0, x1 - 1), np.minimum(y0, y1 - 1)
        inside = self._sums[y1, x1] - self._sums[y0, x1] - self._sums[y1, x0] + self._sums[y0, x0]
        fraction: np.ndarray = inside / ((x1 - x0) * (y1 - y0))
        return fraction

    def contains(self, points: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
        """(P,) bool: which points (P, 2) u v are in the region; image_size is (H, W)."""
        rows, columns = self.mask.shape
        u, v = np.floor(np.asarray(points) * self._cells_per_pixel(image_size)).astype(int).T
        inside: np.ndarray = self.mask[v.clip(0, rows - 1), u.clip(0, columns - 1)]
        return inside

    def outlines(self) -> list[np.ndarray]:
        """Its polygons, (N, 2) x y each, as fractions of width and height."""
        padded = np.pad(self.mask.astype(np.uint8), 1)
        found = cv2.findContours(padded, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
        size = self.mask.shape[::-1]
        corners = [cv2.approxPolyDP(contour, 1.0, True)[:, 0] - 0.5 for contour in found]
        return [(each / size).clip(0.0, 1.0) for each in corners]

    def _cells_per_pixel(self, image_size: tuple[int, int]) -> np.ndarray:
        return np.divide(self.mask.shape[::-1], image_size[::-1])


def without_ignored(seen: Observations, region: IgnoredRegion, image_size: tuple[int, int]) -> Observations:
    """The observations without objects, lane points and drivable area in the region; image_size is (H, W)."""
    detections = seen.detections
    if len(detections):
        detections = detections[region.covered(detections.boxes, image_size) <= MAX_COVERED]
    return replace(
        seen,
        detections=detections,
        lanes=tuple(_outside(seen.lanes, region, image_size)),
        drivable=_not_drivable(seen.drivable, region) if seen.drivable is not None else None,
    )


def _outside(lanes: Iterable[LaneLine], region: IgnoredRegion, image_size: tuple[int, int]) -> Iterable[LaneLine]:
    for line in lanes:
        inside = region.contains(line.points, image_size)
        if not inside.any():
            yield line
        elif len(inside) - np.count_nonzero(inside) >= MIN_POINTS:
            yield replace(line, points=line.points[~inside])


def _not_drivable(drivable: ClassMap, region: IgnoredRegion) -> ClassMap:
    if BACKGROUND not in drivable.names:
        return drivable
    ids = drivable.ids.copy()
    ids[region.cells((ids.shape[0], ids.shape[1]))] = drivable.names.index(BACKGROUND)
    return replace(drivable, ids=ids)


def ignored_region(descriptions: Iterable[str]) -> IgnoredRegion | None:
    """The union of regions: each a PNG whose pixels other than black are ignored, or the corners of a polygon as
    fractions of width and height, such as "0,0.9 0.5,0.8 1,0.9 1,1 0,1". None without any; raises BadImage.
    """
    masks = [_described(text) for text in descriptions if text.strip()]
    if not masks:
        return None
    size = max((mask.shape[::-1] for mask in masks), key=max)
    return IgnoredRegion(np.any([_resized(mask, (size[0], size[1])) for mask in masks], axis=0))


def _described(text: str) -> np.ndarray:
    """(h, w) bool of one region."""
    if "," in text and not _is_file(text):
        return _polygon(text)
    try:
        image = read_file(text, cv2.IMREAD_GRAYSCALE)
    except BadImage as error:
        raise BadImage(
            f"region '{shorten(text, 150)}' is no picture: give a PNG of the camera's image in which the ignored part "
            "is white, or corners as fractions of width and height, such as '0,0.9 1,0.9 1,1 0,1'"
        ) from error
    mask: np.ndarray = image > 0
    return mask


def _is_file(text: str) -> bool:
    """Corners of more than 255 characters are no name of a file at all."""
    try:
        return Path(text).is_file()
    except OSError:
        return False


def _polygon(text: str) -> np.ndarray:
    try:
        pairs = [(float(x), float(y)) for x, y in (corner.split(",") for corner in text.split())]
    except ValueError:
        pairs = []
    corners = np.array(pairs)
    if len(pairs) < 3 or not ((corners >= 0) & (corners <= 1)).all():
        raise BadImage(
            f"region '{text}' is no polygon: give three or more corners 'x,y x,y x,y' as fractions of width and "
            "height from 0 to 1, from the top left"
        )
    mask = np.zeros((SIDE, SIDE), np.uint8)
    points = np.rint((corners * SIDE - 0.5) * 2**SUBPIXEL_BITS).astype(np.int32)
    cv2.fillPoly(mask, [points], 1, shift=SUBPIXEL_BITS)
    return mask.astype(bool)


def _resized(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w) bool in width and height `size`: cells of which more than half is ignored."""
    if mask.shape == size[::-1]:
        return mask.astype(bool)
    shrinks = size[0] < mask.shape[1] or size[1] < mask.shape[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    scaled: np.ndarray = cv2.resize(mask.astype(np.float32), size, interpolation=method) > 0.5
    return scaled
