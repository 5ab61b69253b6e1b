"""Seamless noise texture for the grain, blotches and cracks of asphalt and for clouds, and terrain heights."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

SIZE = 512  # texels per side


@lru_cache(maxsize=1)
def noise_texture() -> np.ndarray:
    """(SIZE, SIZE, 4) uint8, seamless, each channel uniformly distributed over 0..255.

    red grain (nearly white noise), green small fractal, blue distance to the next crack, alpha large fractal
    """
    rng = np.random.default_rng(20240)
    grain = fractal(rng, 0.25, low=24)
    channels = grain, fractal(rng, 1.1, low=3), cracks(rng, 70), fractal(rng, 1.7, low=2)
    return (np.stack([equalised(c) for c in channels], -1) * 255).astype(np.uint8)


def fractal(rng: np.random.Generator, slope: float, low: int) -> np.ndarray:
    """(SIZE, SIZE) noise with amplitude 1 / frequency**slope above `low` cycles per tile."""
    f = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE)[None]) * SIZE
    amplitude = np.where(f >= low, np.maximum(f, 1) ** -(slope + 0.5), 0)
    phase = np.exp(2j * np.pi * rng.random(f.shape))
    return np.fft.irfft2(amplitude * phase, s=(SIZE, SIZE))


def cracks(rng: np.random.Generator, cells: int) -> np.ndarray:
    """(SIZE, SIZE) distance to the border between the two nearest of `cells` points, warped by noise."""
    points = rng.random((cells, 2)) * SIZE
    warp = np.stack([fractal(rng, 1.2, 3), fractal(rng, 1.2, 3)], -1)
    y, x = np.mgrid[:SIZE, :SIZE]
    positions = np.stack([x, y], -1) + warp / warp.std() * 6
    nearest = np.full((2, SIZE, SIZE), np.inf)
    for point in points:
        offset = np.abs((positions - point + SIZE / 2) % SIZE - SIZE / 2)
        distance = np.hypot(offset[..., 0], offset[..., 1])
        nearest[1] = np.minimum(nearest[1], np.maximum(nearest[0], distance))
        nearest[0] = np.minimum(nearest[0], distance)
    return np.asarray(nearest[1] - nearest[0])


def equalised(values: np.ndarray) -> np.ndarray:
    """Histogram equalisation: the same image with values spread evenly over 0..1."""
    ranks = np.empty(values.size, np.float32)
    ranks[np.argsort(values, axis=None)] = np.linspace(0, 1, values.size)
    return ranks.reshape(values.shape)


@lru_cache(maxsize=1)
def _hills() -> np.ndarray:
    tile = fractal(np.random.default_rng(7), 1.9, low=1)
    return np.asarray(tile / tile.std(), np.float32)


def hills(x: np.ndarray, y: np.ndarray, wavelength: float, offset: tuple[float, float]) -> np.ndarray:
    """Smooth heights of unit variance at world positions; `wavelength` metres per tile."""
    u = ((x / wavelength + offset[0]) % 1 * SIZE).astype(np.float32)
    v = ((y / wavelength + offset[1]) % 1 * SIZE).astype(np.float32)
    flat = cv2.remap(_hills(), u.reshape(1, -1), v.reshape(1, -1), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return flat.reshape(x.shape)
