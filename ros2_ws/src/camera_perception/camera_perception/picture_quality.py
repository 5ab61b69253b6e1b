"""Figures of one image that tell whether the camera sees. They look at samples of it, to cost next to nothing."""

from __future__ import annotations

import cv2
import numpy as np

SAMPLE_WIDTH, GRID = 160, (6, 8)
BANDS, BAND_ROWS = 8, 8


def sample(image: np.ndarray) -> np.ndarray:
    """(h, w) uint8: the green of about every (W / 160)th pixel."""
    step = max(1, image.shape[1] // SAMPLE_WIDTH)
    small = image[::step, ::step, 1]
    return np.ascontiguousarray(small)


def brightest(histogram: np.ndarray, share: float = 0.005) -> int:
    """The value that this share of the pixels reaches: what the brightest spots are like."""
    from_above = np.cumsum(histogram[::-1])
    return 255 - int(np.searchsorted(from_above, share * from_above[-1], side="right"))


def saturated(histogram: np.ndarray, value: int = 250) -> float:
    """Share of pixels at or above a value."""
    return float(histogram[value:].sum() / max(histogram.sum(), 1))


def cell_contrast(small: np.ndarray) -> np.ndarray:
    """GRID float32: how much the values differ within each cell of a sample, after averaging sensor noise away."""
    rows, columns = GRID
    coarse = cv2.resize(small.astype(np.float32), (columns * 4, rows * 4), interpolation=cv2.INTER_AREA)
    return coarse.reshape(rows, 4, columns, 4).std(axis=(1, 3))


def sharpness(image: np.ndarray) -> float:
    """Variance of the Laplacian of the green, in bands of full resolution around the middle and below it.

    Falls steeply with blur, grows with detail and noise: compare it with the same camera's past, not between cameras.
    Source: Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, ICPR 2000.
    """
    height, width = image.shape[:2]
    middle = image[:, width // 4 : width - width // 4]
    starts = np.linspace(height // 4, max(height - BAND_ROWS, 0), BANDS).astype(int)
    bands = [cv2.extractChannel(middle[start : start + BAND_ROWS], 1) for start in starts]
    laplacians = [cv2.Laplacian(band, cv2.CV_16S)[1:-1] for band in bands if len(band) > 2]
    if not laplacians:
        return 0.0
    return float(cv2.meanStdDev(np.concatenate(laplacians))[1][0, 0] ** 2)
