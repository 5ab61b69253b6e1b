"""Connected regions of a class map."""

from __future__ import annotations

import cv2
import numpy as np

from camera_perception import core


def drop_islands(ids: np.ndarray, background: int, least: float) -> None:
    """Set regions of other cells than `background` to it that are smaller than `least` times the largest one. In place.

    ids  (h, w) uint8, contiguous; cells of a region touch along an edge
    """
    if core.kernels is not None:
        core.kernels.drop_islands(ids, ids.shape[1], background, least)
        return
    regions = cv2.connectedComponents((ids != background).astype(np.uint8), connectivity=4)[1]
    cells = np.bincount(regions.ravel())
    cells[0] = 0
    ids[(cells < least * cells.max())[regions]] = background
