"""Pictures put together to one."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from camera_perception.draw.colors import SHADOW


def side_by_side(left: np.ndarray, right: np.ndarray, gap: int = 4) -> np.ndarray:
    """Two pictures in the height of the left one."""
    height = len(left)
    width = max(round(right.shape[1] * height / len(right)), 1)
    scaled = right if len(right) == height else cv2.resize(right, (width, height), interpolation=cv2.INTER_AREA)
    return np.hstack((left, np.full((height, gap, 3), SHADOW, np.uint8), scaled))


def stacked(pictures: Sequence[np.ndarray], columns: int, tile: tuple[int, int], gap: int = 4) -> np.ndarray:
    """Pictures row by row in tiles of (H, W), each as large as fits in the middle of its tile; the rest stays dark."""
    rows = -(-len(pictures) // columns)
    canvas = np.full((rows * (tile[0] + gap) - gap, columns * (tile[1] + gap) - gap, 3), SHADOW, np.uint8)
    for number, picture in enumerate(pictures):
        top, left = (number // columns) * (tile[0] + gap), (number % columns) * (tile[1] + gap)
        _put(canvas[top : top + tile[0], left : left + tile[1]], picture)
    return canvas


def _put(tile: np.ndarray, picture: np.ndarray) -> None:
    scale = min(tile.shape[0] / picture.shape[0], tile.shape[1] / picture.shape[1])
    height, width = max(round(picture.shape[0] * scale), 1), max(round(picture.shape[1] * scale), 1)
    top, left = (tile.shape[0] - height) // 2, (tile.shape[1] - width) // 2
    tile[top : top + height, left : left + width] = (
        picture if scale == 1 else cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    )
