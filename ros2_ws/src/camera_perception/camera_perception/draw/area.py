"""Class maps over an image: soft-edged translucent areas."""

from __future__ import annotations

from collections.abc import Collection

import cv2
import numpy as np

from camera_perception.types import ClassMap


def fill_classes(canvas: np.ndarray, classes: ClassMap, opacity: float, skip: Collection[str] = ()) -> None:
    """Blend the colours of a class map over a canvas (H, W, 3) that shows the same view; classes in skip stay clear."""
    shown = np.array([name not in skip for name in classes.names])
    colors = np.where(shown[:, None], classes.colors[:, ::-1], 0).astype(np.uint8)
    cover = np.where(shown, 255, 0).astype(np.uint8)
    # Colour and cover are spread out together and smoothly: the staircase of the network's cells becomes a soft border.
    layer, alpha = (_spread(table[classes.ids], canvas.shape[1::-1]) for table in (colors, cover))
    clear = cv2.convertScaleAbs(alpha, alpha=-opacity, beta=255)
    cv2.multiply(canvas, cv2.merge((clear, clear, clear)), dst=canvas, scale=1 / 255)
    cv2.scaleAdd(layer, opacity, canvas, dst=canvas)


def _spread(cells: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(cv2.GaussianBlur(cells, (0, 0), 0.8), size, interpolation=cv2.INTER_LINEAR)
