"""Effects of sensor, lens and codec. Every function takes and returns (H, W, 3) uint8 BGR."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

_LUMA = np.array([0.114, 0.587, 0.299])  # BGR
DARKEST = (10, 35)  # grey levels: the least mean below the sky that a camera's exposure allows, in the dark


def exposure(image: np.ndarray, rng: np.random.Generator, strength: float = 1.0) -> np.ndarray:
    """Gain, offset, gamma and colour cast, in one table look-up."""
    level = np.linspace(0, 1, 256)[:, None]
    gamma = np.exp(rng.normal(0, 0.25 * strength))
    gain = np.exp(rng.normal(0, 0.15 * strength)) * np.exp(rng.normal(0, 0.06 * strength, 3))
    table = 255 * (gain * level**gamma + rng.normal(0, 0.04 * strength))
    return cv2.LUT(image, np.clip(table, 0, 255).astype(np.uint8)[None])


def dark(image: np.ndarray, rng: np.random.Generator, strength: float = 1.0) -> np.ndarray:
    """Dusk or underexposure: a gamma of 1.3 to 3.2, a lower gain, a cast, pale colours and the noise of a dark image.

    Gamma alone makes colours stronger, dusk makes them weaker. A camera exposes longer before it lets a street become
    black: an image that would become too dark is lightened again, and its sky may be overexposed.
    """
    gamma, gain = np.exp(rng.uniform(np.log(1.3), np.log(3.2))), rng.uniform(0.6, 1.0)
    cast = gain * np.exp(rng.normal(0, 0.08 * strength, 3))
    table = 255 * cast * np.linspace(0, 1, 256)[:, None] ** gamma
    street = image[len(image) // 3 :: 4, ::4]
    least = min(rng.uniform(*DARKEST), street.mean())
    table *= max(least / max(table[street, np.arange(3)].mean(), 0.1), 1)
    image = cv2.LUT(image, np.clip(table, 0, 255).astype(np.uint8)[None])
    saturation = rng.uniform(0.4, 1.0)
    image = cv2.transform(image, np.tile(_LUMA, (3, 1)) * (1 - saturation) + saturation * np.eye(3))
    return noise(image, rng, strength * rng.uniform(0.4, 1.4))


def colour(image: np.ndarray, rng: np.random.Generator, strength: float = 1.0) -> np.ndarray:
    """Saturation and a small hue rotation, as one 3x3 matrix on BGR.

    Red, yellow and green lights must keep their colour, so the hue changes by a few degrees only.
    """
    saturation, angle = np.exp(rng.normal(0, 0.3 * strength)), np.radians(rng.uniform(-6, 6) * strength)
    grey = np.tile(_LUMA, (3, 1))
    c, s, third = np.cos(angle), np.sin(angle), np.sqrt(1 / 3)
    axis = np.array([[0, -third, third], [third, 0, -third], [-third, third, 0]])
    rotation = c * np.eye(3) + s * axis + (1 - c) / 3
    return cv2.transform(image, grey + saturation * (rotation - grey @ rotation))


def blur(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Defocus or motion blur."""
    if rng.random() < 0.5:
        return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.4))
    length, angle = int(rng.integers(3, 8)), rng.uniform(0, np.pi)
    kernel = np.zeros((length, length), np.float32)
    arm = (length - 1) / 2 * np.array([np.cos(angle), np.sin(angle)])
    middle = (length - 1) / 2
    start, end = (tuple(np.rint(middle + sign * arm).astype(int).tolist()) for sign in (-1, 1))
    cv2.line(kernel, start, end, 1.0)
    return cv2.filter2D(image, -1, kernel / kernel.sum())


@lru_cache(maxsize=1)
def _grain() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 32, (1024, 2048, 3)).clip(-127, 127).astype(np.int16)


def noise(image: np.ndarray, rng: np.random.Generator, strength: float = 1.0) -> np.ndarray:
    """Sensor noise cut from a table at a random position: drawing new noise would cost more than everything else."""
    height, width = image.shape[:2]
    grain = _grain()
    if height > grain.shape[0] or width > grain.shape[1]:
        grain = np.tile(grain, (height // grain.shape[0] + 1, width // grain.shape[1] + 1, 1))
    top, left = rng.integers(0, grain.shape[0] - height + 1), rng.integers(0, grain.shape[1] - width + 1)
    sigma = rng.uniform(1, 10) * strength
    patch = grain[top : top + height, left : left + width]
    return cv2.addWeighted(image, 1.0, patch, sigma / 32, 0, dtype=cv2.CV_8U)


def jpeg(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """JPEG compression artefacts, as from a video link."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded


def coarse(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An image from a sensor of lower resolution, scaled up."""
    height, width = image.shape[:2]
    scale = rng.uniform(0.45, 0.9)
    small = cv2.resize(image, (max(int(width * scale), 1), max(int(height * scale), 1)), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
