"""Weather and lighting effects. Every function takes and returns (H, W, 3) uint8 BGR."""

from __future__ import annotations

import cv2
import numpy as np


def fog(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Haze that is densest at the horizon, where the distance is greatest."""
    height = image.shape[0]
    rows = (np.arange(height) + 0.5) / height - rng.uniform(0.38, 0.5)
    veil = rng.uniform(0.25, 0.75) * np.exp(-np.where(rows < 0, 0.6, 4.0) * np.abs(rows))
    return _blend(image, float(rng.uniform(150, 225)), veil[:, None])


def rain(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Streaks over an image of reduced contrast."""
    height, width = image.shape[:2]
    layer: np.ndarray = np.zeros((height, width), np.uint8)
    count, slant, length = int(rng.integers(60, 260)), rng.uniform(-0.3, 0.3), rng.uniform(0.03, 0.09) * height
    starts = rng.uniform((0, -0.1), (1, 1), (count, 2)) * (width, height)
    ends = starts + np.array([slant * length, length]) * rng.uniform(0.5, 1.5, (count, 1))
    cv2.polylines(layer, list(np.stack([starts, ends], 1).round().astype(np.int32)), False, 255, 1)
    layer = cv2.GaussianBlur(layer, (0, 0), 0.7)
    dull = cv2.convertScaleAbs(image, alpha=0.85, beta=16)
    bright = cv2.cvtColor(layer, cv2.COLOR_GRAY2BGR)
    return cv2.addWeighted(dull, 1.0, bright, rng.uniform(0.15, 0.45), 0)


def shadow(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One to three dark shapes on the road, with soft borders."""
    height, width = image.shape[:2]
    light = np.full((height // 4, width // 4), 255, np.uint8)
    for _ in range(rng.integers(1, 4)):
        centre = rng.uniform((0, 0.5), (1, 1))
        corners = centre + rng.uniform((-0.4, -0.12), (0.4, 0.12), (int(rng.integers(3, 7)), 2))
        hull = cv2.convexHull((corners * (width // 4, height // 4)).astype(np.int32))
        cv2.fillPoly(light, [hull], int(255 * rng.uniform(0.35, 0.75)))
    light = cv2.resize(cv2.GaussianBlur(light, (0, 0), 0.8), (width, height))
    return cv2.multiply(image, cv2.cvtColor(light, cv2.COLOR_GRAY2BGR), scale=1 / 255)


def glare(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Low sun or a lamp: a bright disc that outshines its surroundings."""
    height, width = image.shape[:2]
    u = (np.arange(width // 4) + 0.5) / (width // 4) - rng.uniform(0, 1)
    v = (np.arange(height // 4) + 0.5) / (height // 4) - rng.uniform(0, 0.5)
    distance = np.hypot(u[None] * width / height, v[:, None])
    veil = (rng.uniform(0.5, 0.95) * np.exp(-((distance / rng.uniform(0.1, 0.5)) ** 1.3))).astype(np.float32)
    glow = cv2.resize((veil * 255).astype(np.uint8), (width, height))
    return cv2.add(image, cv2.cvtColor(glow, cv2.COLOR_GRAY2BGR))


def _blend(image: np.ndarray, level: float, veil: np.ndarray) -> np.ndarray:
    """image * (1 - veil) + level * veil, with one veil value per row (H, 1)."""
    table_rows = np.repeat((veil * 255).astype(np.uint8), image.shape[1], 1)
    veil3 = cv2.cvtColor(table_rows, cv2.COLOR_GRAY2BGR)
    return cv2.add(cv2.multiply(image, 255 - veil3, scale=1 / 255), cv2.convertScaleAbs(veil3, alpha=level / 255))
