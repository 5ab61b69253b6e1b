"""What the windscreen adds to a picture: a reflection of the dashboard, and rain drops on the glass."""

from __future__ import annotations

import cv2
import numpy as np


def add_reflection(rng: np.random.Generator, image: np.ndarray, strength: float) -> np.ndarray:
    """Linear light (H, W, 3) with a faint, soft mirror image of the top of the dashboard over its lower part."""
    height, width = image.shape[:2]
    layer: np.ndarray = np.zeros((96, 160), np.float32)
    top, lean = rng.uniform(30, 75), rng.normal(0, 6)
    pad = np.array([[-5, top + lean], [165, top - lean], [175, 100], [-15, 100]])
    cv2.fillPoly(layer, [pad.astype(np.int32)], float(rng.uniform(0.25, 0.6)))
    for _ in range(rng.integers(0, 4)):  # vents, seams and papers
        _patch(rng, layer, top)
    layer = cv2.GaussianBlur(layer, (0, 0), rng.uniform(0.6, 3.5))
    layer = cv2.resize(layer, (width, height), interpolation=cv2.INTER_LINEAR)
    color = image.mean((0, 1)) * (1 + rng.normal(0, 0.06, 3)).astype(np.float32)
    return np.asarray(image + layer[..., None] * color * np.float32(strength))


def _patch(rng: np.random.Generator, layer: np.ndarray, top: float) -> None:
    """A quadrilateral, bright or dark, or a row of slits, on a layer of 96 x 160 pixels."""
    x, y, tone = rng.uniform(0, 150), rng.uniform(top, 95), float(rng.choice([0.0, 0.15, 0.8, 1.3]))
    wide, high, lean = rng.uniform(6, 60), rng.uniform(2, 16), rng.normal(0, 5)
    for i in range(1 if rng.random() < 0.6 else 6):
        low, size = y + i * high * 0.7, high * (0.3 if i else 1.0)
        corners = np.array(
            [[x, low], [x + wide, low + lean], [x + wide + lean, low + lean + size], [x - lean, low + size]]
        )
        cv2.fillPoly(layer, [corners.astype(np.int32)], tone, cv2.LINE_AA)


def add_drops(rng: np.random.Generator, image: np.ndarray, count: int) -> np.ndarray:
    """Water drops on the glass, some run down; each shows the scene upside down and blurred, with a dark rim."""
    height, width = image.shape[:2]
    mask = np.zeros((height, width), np.float32)
    unit, focus = height / 384, rng.uniform(0.8, 3.0)
    for _ in range(count):
        _drop(rng, mask, unit)
    if rng.random() < 0.5:
        mask *= _unwiped(rng, height, width)
    soft = cv2.GaussianBlur(mask, (0, 0), focus * unit)[..., None]
    small = cv2.resize(image, (max(width // 8, 1), max(height // 8, 1)), interpolation=cv2.INTER_AREA)
    away = cv2.resize(cv2.GaussianBlur(small, (0, 0), 2)[::-1], (width, height))
    rim = 1 - 0.35 * np.clip(4 * soft * (1 - soft), 0, 1)
    return np.asarray(image * (1 - 0.75 * soft) * rim + away * 0.75 * soft)


def _drop(rng: np.random.Generator, mask: np.ndarray, unit: float) -> None:
    height, width = mask.shape
    x, y = int(rng.uniform(0, width)), int(rng.uniform(0, height))
    size = unit * (rng.uniform(1.5, 5) if rng.random() < 0.8 else rng.uniform(5, 14))
    axes = max(int(size), 1), max(int(size * rng.uniform(0.8, 1.4)), 1)
    cv2.ellipse(mask, (x, y), axes, float(rng.uniform(-30, 30)), 0, 360, 1.0, -1, cv2.LINE_AA)
    if rng.random() < 0.08:
        end = x + int(rng.normal(0, 6) * unit), y - int(rng.uniform(15, 90) * unit)
        cv2.line(mask, (x, y), end, 0.6, max(int(size * 0.7), 1), cv2.LINE_AA)


def _unwiped(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(H, W) 1 outside the fan of a wiper, mostly 0 within."""
    fan = np.ones((height, width), np.float32)
    center = int(rng.uniform(0.2, 0.8) * width), int(1.15 * height)
    cv2.ellipse(fan, center, (int(0.75 * width), int(rng.uniform(0.7, 1.1) * height)), 0, 190, 350, 0.15, -1)
    return fan
