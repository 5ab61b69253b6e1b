"""Views of an image for a detector: whole, in overlapping tiles, and both mirrored."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from perception_models.data.curation.boxes import Box, clipped, iou, mirrored
from perception_models.data.curation.teachers import Finding, Teacher

TILE = 0.5  # side, fraction of the longer side of the image
TILE_RANGE = (208, 480)  # pixels
OVERLAP = 0.4  # of a tile
CUT = 3.0  # pixels: a box this near an inner edge of a tile may be cut by it
SAME = 0.6  # IoU of one object in two tiles


def find_in_views(teachers: list[Teacher], image: np.ndarray) -> list[Finding]:
    """Objects that each teacher finds in each view."""
    findings: list[Finding] = []
    size, flipped = (image.shape[0], image.shape[1]), np.ascontiguousarray(image[:, ::-1])
    for teacher in teachers:
        for view, find in (("whole", _find_whole), ("tiles", _find_in_tiles))[: 1 + teacher.tiles]:
            turned = [(mirrored(box, size[1]), name, score) for box, name, score in find(teacher, flipped)]
            for suffix, rows in (("", find(teacher, image)), (" flipped", turned)):
                where = f"{teacher.name} {view}{suffix}"
                findings += [Finding(clipped(box, size), name, score, where) for box, name, score in rows]
    return findings


Rows = list[tuple[Box, str, float]]


def _find_whole(teacher: Teacher, image: np.ndarray) -> Rows:
    return teacher.find(image)


def _find_in_tiles(teacher: Teacher, image: np.ndarray) -> Rows:
    """Without boxes at inner edges; of one object in several tiles, the best."""
    found = []
    for top, left, side in tiles((image.shape[0], image.shape[1])):
        tile = image[top : top + side, left : left + side]
        for (x0, y0, x1, y1), name, score in teacher.find(np.ascontiguousarray(tile)):
            box = (x0 + left, y0 + top, x1 + left, y1 + top)
            if not _cut_by_tile(box, top, left, tile.shape, image.shape):
                found.append((box, name, score))
    return _without_duplicates(found)


def tiles(size: tuple[int, int]) -> Iterator[tuple[int, int, int]]:
    """Top, left and side of overlapping square tiles that cover (height, width)."""
    side = int(min(max(TILE * max(size), TILE_RANGE[0]), TILE_RANGE[1]))
    for top in _starts(size[0], side):
        for left in _starts(size[1], side):
            yield top, left, side


def _starts(length: int, side: int) -> list[int]:
    count = 1 + max(0, int(np.ceil((length - side) / (side * (1 - OVERLAP)))))
    return sorted({int(start) for start in np.linspace(0, max(length - side, 0), count)})


def _cut_by_tile(box: Box, top: int, left: int, tile: tuple[int, ...], image: tuple[int, ...]) -> bool:
    bottom, right = top + tile[0], left + tile[1]
    return bool(
        (left > 0 and box[0] < left + CUT)
        or (top > 0 and box[1] < top + CUT)
        or (right < image[1] and box[2] > right - CUT)
        or (bottom < image[0] and box[3] > bottom - CUT)
    )


def _without_duplicates(rows: Rows) -> Rows:
    kept: Rows = []
    for row in sorted(rows, key=lambda row: -row[2]):
        if all(row[1] != other[1] or iou(row[0], other[0]) < SAME for other in kept):
            kept.append(row)
    return kept
