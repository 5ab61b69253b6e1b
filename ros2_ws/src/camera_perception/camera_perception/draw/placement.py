"""Free places for labels: they cover neither each other nor what was detected."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from camera_perception.draw.primitives import Rect

MOST_COVERED = 0.1  # of an object's box; a label in the corner of a near bus hides nothing of it


class Placement:
    """Chooses places on a canvas (H, W) and remembers them.

    objects (N, 4) x0 y0 x1 y1 of what must stay visible, canvas pixels
    """

    def __init__(self, size: tuple[int, ...], objects: np.ndarray, taken: Iterable[Rect] = ()) -> None:
        self._height, self._width = size[:2]
        self._objects = np.asarray(objects, float).reshape(-1, 4)
        self._taken = list(taken)

    def place(self, size: tuple[int, int], corners: Iterable[tuple[float, float]]) -> tuple[int, int] | None:
        """The first free upper left corner for a label of width and height `size`; None when all are taken.

        Corners are shifted sideways into the canvas, not upwards or downwards.
        """
        for left, top in corners:
            left = int(np.clip(left, 0, max(self._width - size[0], 0)))
            rect = left, round(top), left + size[0], round(top) + size[1]
            if self._free(rect):
                self._taken.append(rect)
                return rect[:2]
        return None

    def _free(self, rect: Rect) -> bool:
        inside = rect[1] >= 0 and rect[2] <= self._width and rect[3] <= self._height
        return inside and not any(_overlap(rect, other) for other in self._taken) and not self._hides(rect)

    def _hides(self, rect: Rect) -> bool:
        x0, y0, x1, y1 = self._objects.T
        width = np.minimum(x1, rect[2]) - np.maximum(x0, rect[0])
        height = np.minimum(y1, rect[3]) - np.maximum(y0, rect[1])
        covered = width.clip(0) * height.clip(0)
        return bool((covered > MOST_COVERED * (x1 - x0) * (y1 - y0)).any())


def _overlap(a: Rect, b: Rect) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
