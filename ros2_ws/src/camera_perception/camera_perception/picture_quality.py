"""Figures of one image that tell whether the camera sees. They look at samples of it, to cost next to nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate

import cv2
import numpy as np

SAMPLE_WIDTH, GRID = 160, (6, 8)
BANDS, BAND_ROWS = 8, 8


def sample(image: np.ndarray) -> np.ndarray:
    """(h, w) uint8: the green of about every (W / 160)th pixel."""
    step = max(1, image.shape[1] // SAMPLE_WIDTH)
    small = image[::step, ::step, 1]
    return np.ascontiguousarray(small)


def histogram(small: np.ndarray) -> list[float]:
    """How many values of a sample there are of each of 0..255."""
    return cv2.calcHist([small], [0], None, [256], [0, 256]).ravel().tolist()


def brightest(counts: Sequence[float], share: float = 0.005) -> int:
    """The value that this share of the pixels reaches: what the brightest spots are like."""
    few = share * sum(counts)
    from_above = accumulate(reversed(counts))
    return 255 - next((below for below, seen in enumerate(from_above) if seen > few), 255)


def saturated(counts: Sequence[float], value: int = 250) -> float:
    """Share of pixels at or above a value."""
    return float(sum(counts[value:]) / max(sum(counts), 1))


def cell_contrast(small: np.ndarray) -> np.ndarray:
    """GRID float32: how much the values differ within each cell of a sample, after averaging sensor noise away."""
    rows, columns = GRID
    coarse = cv2.resize(small.astype(np.float32), (columns * 4, rows * 4), interpolation=cv2.INTER_AREA)
    off = coarse.reshape(rows, 4, columns, 4) - _means(coarse)[:, None, :, None]
    return np.sqrt(_means(np.square(off).reshape(coarse.shape)))


def _means(coarse: np.ndarray) -> np.ndarray:
    """GRID float32: of each cell."""
    return cv2.resize(coarse, GRID[::-1], interpolation=cv2.INTER_AREA)


def sharpness(image: np.ndarray) -> float:
    """Variance of the Laplacian of the green, in bands of full resolution around the middle and below it.

    Falls steeply with blur, grows with detail and noise: compare it with the same camera's past, not between cameras.
    Source: Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, ICPR 2000.
    """
    height, width = image.shape[:2]
    if height < 3:
        return 0.0
    depth, rows = _bands(height)
    bands = image[:, width // 4 : width - width // 4, 1][rows]
    inner = cv2.Laplacian(bands, cv2.CV_16S).reshape(len(rows) // depth, depth, -1)[:, 1:-1]
    return float(cv2.meanStdDev(inner.reshape(-1, bands.shape[1]))[1][0, 0] ** 2)


@lru_cache(maxsize=8)
def _bands(height: int) -> tuple[int, np.ndarray]:
    """Rows of each band, and all rows of an image of that height that are in one, band after band."""
    depth = min(BAND_ROWS, height)
    starts = np.linspace(min(height // 4, height - depth), height - depth, BANDS).astype(int)
    return depth, (starts[:, None] + np.arange(depth)).ravel()
