"""Images of cameras that are mounted on their side, upside down, or behind a mirror."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from camera_perception.core.errors import BadImage

CODES = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


@dataclass(frozen=True, slots=True)
class Turn:
    """What is done to each image before the network.

    degrees  clockwise: 0, 90, 180 or 270
    mirror   swap left and right, before turning
    """

    degrees: int = 0
    mirror: bool = False

    def __post_init__(self) -> None:
        if self.degrees not in (0, *CODES):
            raise BadImage(f"images cannot be turned by {self.degrees} degrees: give 0, 90, 180 or 270")

    def __bool__(self) -> bool:
        return bool(self.degrees or self.mirror)

    def __call__(self, raster: np.ndarray) -> np.ndarray:
        """(H, W) or (H, W, C) turned; the same array if there is nothing to do."""
        if self.mirror:
            raster = cv2.flip(raster, 1)
        return cv2.rotate(raster, CODES[self.degrees]) if self.degrees else raster
