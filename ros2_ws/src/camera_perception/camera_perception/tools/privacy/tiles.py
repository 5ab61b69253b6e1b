"""Overlapping tiles of an image: small people fill more of the network's input there than in the whole image."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

SIZE = 2 / 3  # height of a tile, as a fraction of the image's
OVERLAP = 0.25  # of neighbouring tiles, as a fraction of their size
CUT = 4  # pixels: a box that ends this near an inner side of a tile is cut there; another view has it whole


def tiles(image_size: tuple[int, int], input_size: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of tiles that cover an image (H, W), of the shape of a network input (H, W) where they fit."""
    height = max(round(image_size[0] * SIZE), 1)
    width = min(round(height * input_size[1] / input_size[0]), image_size[1])
    for top in _starts(image_size[0], height):
        for left in _starts(image_size[1], width):
            yield slice(top, top + height), slice(left, left + width)


def _starts(length: int, size: int) -> list[int]:
    count = int(np.ceil((length - size) / (size * (1 - OVERLAP)))) + 1
    return [round(start) for start in np.linspace(0, length - size, count)]


def is_whole(boxes: np.ndarray, rows: slice, columns: slice, image_size: tuple[int, int]) -> np.ndarray:
    """(N,) which boxes (N, 4) in pixels of a tile do not end at a side of it that is inside the image (H, W)."""
    height, width = rows.stop - rows.start, columns.stop - columns.start
    inner = np.array([columns.start > 0, rows.start > 0, columns.stop < image_size[1], rows.stop < image_size[0]])
    at_side = np.concatenate([boxes[:, :2] < CUT, boxes[:, 2:] > np.array((width, height)) - CUT], axis=1)
    return np.asarray(~(at_side & inner).any(axis=1))
