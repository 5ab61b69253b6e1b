"""Makes a cut-out look as if the camera of another image had taken it: light, colour, contrast, noise."""

from __future__ import annotations

import cv2
import numpy as np

from perception_models.data.augment.photometric import blur
from perception_models.data.labels import SCENE, SEMANTIC

LUMA = np.array([0.114, 0.587, 0.299], np.float32)
SKY = SEMANTIC.index("sky")
FOGGY = SCENE["weather"].index("foggy")
FOG_RANGE = 45.0  # metres at which fog hides two thirds


def surroundings(image: np.ndarray, semantic: np.ndarray | None, box: tuple[int, int, int, int]) -> np.ndarray:
    """(3,) float32 mean B G R around a box, without the sky; the ground before it counts like the wall behind it."""
    x0, y0, x1, y1 = box
    height, width = image.shape[:2]
    grow = max((x1 - x0) // 3, (y1 - y0) // 4, 4)
    left, right = max(x0 - grow, 0), min(x1 + grow, width)
    means = []
    for top, bottom in ((y0, y1), (y1 - grow // 2, y1 + grow // 2)):
        area = np.s_[min(max(top, 0), height - 2) : max(min(bottom, height), 2) : 2, left:right:2]
        pixels = image[area].reshape(-1, 3)
        solid = semantic[area].ravel() != SKY if semantic is not None else np.ones(len(pixels), bool)
        means.append((pixels[solid] if solid.sum() > 20 else pixels).mean(0))
    return np.asarray(np.mean(means, 0), np.float32)


def relit(
    colours: np.ndarray, alpha: np.ndarray, source: np.ndarray, target: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """(h, w, 3) float32: the object keeps its contrast to its surroundings, which change from source to target.

    colours, alpha  (h, w, 3) and (h, w) uint8
    source, target  (3,) mean B G R
    """
    lumas = np.maximum(np.array([source @ LUMA, target @ LUMA]), (25, 4))
    gain = np.clip(lumas[1] / lumas[0], 0.08, 1.6) ** 0.9 * np.exp(rng.normal(0, 0.12))
    chroma = (np.maximum(target, 3) / lumas[1]) / (np.maximum(source, 8) / lumas[0])
    saturation = float(np.clip(0.45 + lumas[1] / 130, 0.45, 1.0) * np.exp(rng.normal(0, 0.1)))
    mixing = saturation * np.eye(3) + (1 - saturation) * np.tile(LUMA, (3, 1))
    out = cv2.transform(colours.astype(np.float32), mixing * (gain * np.clip(chroma, 0.6, 1.6) ** 0.4))
    solid = out[::2, ::2][alpha[::2, ::2] > 128]
    if len(solid):  # nothing outshines a dark place by itself
        out *= min(1.0, (1.9 * lumas[1] + 25) / max(float(np.percentile(solid @ LUMA, 90)), 1))
    return np.asarray(out, np.float32)


def in_fog(colours: np.ndarray, target: np.ndarray, distance: float, weather: int) -> np.ndarray:
    """Paler with the distance in metres if the weather is foggy."""
    if weather != FOGGY:
        return colours
    veil = 1 - np.exp(-distance / FOG_RANGE)
    return np.asarray((1 - veil) * colours + veil * target, np.float32)


def like_sensor(colours: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """(h, w, 3) uint8 with noise of this standard deviation, sometimes defocused or blurred by motion."""
    out: np.ndarray = np.clip(colours, 0, 255).astype(np.uint8)
    if rng.random() < 0.25 and min(out.shape[:2]) > 24:
        out = blur(out, rng)
    elif rng.random() < 0.5:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.3, 0.7))
    if sigma > 0.7:
        grain = rng.normal(0, sigma, out.shape).astype(np.float32)
        out = np.clip(out + grain, 0, 255).astype(np.uint8)
    return out


def noise_of(image: np.ndarray) -> float:
    """Standard deviation of the noise of an image, grey levels (median of Immerkaer's filter, 1996)."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    response = np.abs(cv2.filter2D(grey, cv2.CV_32F, kernel)[::3, ::3])
    return float(np.median(response)) / 0.6745 / 6


def cast_shadow(image: np.ndarray, foot: tuple[float, float], width: float, depth: float, open_: np.ndarray) -> None:
    """Darken the ground under an object, in place.

    foot   u, v where it stands
    open_  (H, W) bool: ground that nothing nearer hides
    """
    u, v = foot
    half, tall = 0.75 * width, max(0.16 * width, 1.5)
    x0, x1 = int(max(u - 2 * half, 0)), int(min(u + 2 * half + 1, image.shape[1]))
    y0, y1 = int(max(v - 2 * tall, 0)), int(min(v + 2 * tall + 1, image.shape[0]))
    if x1 <= x0 or y1 <= y0:
        return
    across = (np.arange(x0, x1, dtype=np.float32) - u) / half
    down = (np.arange(y0, y1, dtype=np.float32) - v) / tall
    shade = depth * np.exp(-1.5 * (across[None] ** 2 + down[:, None] ** 2)) * open_[y0:y1, x0:x1]
    area = image[y0:y1, x0:x1]
    area[:] = (area * (1 - shade[..., None])).astype(np.uint8)
