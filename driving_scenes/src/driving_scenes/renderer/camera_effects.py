"""Camera simulation: from linear light to a stored image, through optics, weather on the glass, sensor and tone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np

from driving_scenes.base.camera import Camera
from driving_scenes.base.conditions import Conditions
from driving_scenes.renderer.windscreen import add_drops, add_reflection


@dataclass(frozen=True, slots=True)
class Lens:
    """Settings and faults of one camera. Strengths are relative, 0 is off."""

    exposure: float  # stops
    balance: np.ndarray  # (3,) float32 gain per channel
    gamma: float
    filmic: float  # 0 exponential .. 1 ACES tone curve
    contrast: float
    saturation: float  # 1 unchanged
    bloom: float
    glare: float  # veiling glare
    vignette: float
    fringe: float  # lateral chromatic aberration, relative to the distance from the centre
    blur: float  # sigma, pixels
    motion: float  # motion blur at the image border, pixels
    noise: float  # standard deviation at middle grey
    sharpen: float
    dirt: float
    drops: int  # rain drops on the glass
    reflection: float  # of the dashboard in the windscreen
    streaks: float  # falling rain
    flakes: float  # falling snow
    quality: int  # JPEG


def random_lens(rng: np.random.Generator, light: Conditions) -> Lens:
    """A dashboard camera; each fault appears with its own probability."""
    night, dusk = light.timeofday == "night", light.timeofday == "dawn/dusk"

    def sometimes(probability: float, low: float, high: float) -> float:
        return float(rng.uniform(low, high)) if rng.random() < probability else 0.0

    return Lens(
        exposure=float(rng.normal(0.1, 0.45) - _underexposure(rng, light.timeofday)),
        balance=np.exp(rng.normal(0, 0.03, 3) + rng.normal(0, 0.06) * np.array([1, 0, -1])).astype(np.float32),
        gamma=float(rng.uniform(1.95, 2.45)),
        filmic=float(rng.uniform(0.0, 0.9)),
        contrast=float(rng.uniform(0.0, 0.7)),
        saturation=float(rng.uniform(0.8, 1.5)),
        bloom=float(rng.uniform(0.02, 0.16) * (1.6 if night else 1)),
        glare=sometimes(0.3, 0.01, 0.12),
        vignette=sometimes(0.6, 0.05, 0.45),
        fringe=sometimes(0.3, 0.0003, 0.0018),
        blur=sometimes(0.4, 0.3, 1.1),
        motion=sometimes(0.18, 2, 7),
        noise=float(rng.uniform(0.0, 0.02) + (rng.uniform(0.005, 0.05) if night else rng.uniform(0, 0.025) * dusk)),
        sharpen=sometimes(0.55, 0.2, 1.1),
        dirt=sometimes(0.2, 0.1, 0.7),
        drops=int(rng.integers(8, 140))
        if rng.random() < (0.65 if light.weather == "rainy" else 0.2 * light.wetness)
        else 0,
        reflection=sometimes(0.25, 0.08, 0.6) * (0.3 if night else 1.0),
        streaks=float(rng.uniform(0.2, 1.0)) if light.weather == "rainy" else 0.0,
        flakes=float(rng.uniform(0.2, 1.0)) if light.weather == "snowy" else 0.0,
        quality=int(rng.integers(62, 96)),
    )


def _underexposure(rng: np.random.Generator, timeofday: str) -> float:
    """Stops below middle grey: most cameras leave dusk and night dark, some even a day with a bright sky."""
    if timeofday == "night":
        return float(rng.uniform(0.4, 1.6))
    if timeofday == "dawn/dusk":
        return float(rng.uniform(0.3, 2.4) if rng.random() < 0.75 else 0.1)
    return float(rng.uniform(0.6, 1.7) if rng.random() < 0.08 else 0.0)


def without_windscreen(lens: Lens) -> Lens:
    """The same lens outside the car."""
    return replace(lens, reflection=0.0)


def photograph(
    rng: np.random.Generator, light: np.ndarray, camera: Camera, lens: Lens, conditions: Conditions
) -> np.ndarray:
    """(H, W, 3) uint8 RGB of linear light on the camera's canvas."""
    image = np.minimum(_distorted(light, camera), 400.0)
    if lens.motion:
        image = _motion_blur(image, lens.motion)
    if lens.reflection:
        image = add_reflection(rng, image, lens.reflection)
    image = _lens_faults(image, lens)
    image = _weather(rng, image, lens)
    image = image * (gain(image) * 2.0**lens.exposure * lens.balance * white_balance(image)).astype(np.float32)
    if lens.noise:
        image = image + _grain(rng, *image.shape[:2]) * (
            np.float32(lens.noise) * np.sqrt(np.maximum(image, 0.02) * 0.4)
        )
    return _tone_mapped(image, lens)


def _distorted(light: np.ndarray, camera: Camera) -> np.ndarray:
    """Cut the camera's image out of the canvas, which may be drawn at a larger scale."""
    if camera.lookup is None:
        return cv2.resize(light, (camera.width, camera.height), interpolation=cv2.INTER_AREA)
    scale = light.shape[1] / camera.canvas[0]
    x, y = ((table + 0.5) * scale - 0.5 for table in camera.lookup)
    return cv2.remap(light, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def gain(image: np.ndarray) -> float:
    """Automatic exposure on the lower two thirds of the image: brings the mean to middle grey; nights stay dark."""
    small = cv2.resize(image[image.shape[0] // 3 :], (32, 16), interpolation=cv2.INTER_AREA)
    level = float(np.exp(np.mean(np.log(small @ [0.2126, 0.7152, 0.0722] + 1e-3))))
    return float(0.17 / max(level, 0.012) ** 0.92)


def white_balance(image: np.ndarray) -> np.ndarray:
    """Grey-world white balance on the lower half: removes most of the colour cast of the road.

    Limited as in cameras: without limits, the sky above a road in the afterglow turns teal.
    """
    mean = image[image.shape[0] // 2 :: 8, ::8].mean((0, 1)) + 1e-4
    return np.asarray(np.clip(((mean @ [0.2126, 0.7152, 0.0722]) / mean) ** 0.7, 0.75, 1.35))


@lru_cache(maxsize=1)
def _grain_tile() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((1024, 1024, 3), np.float32)


def _grain(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(H, W, 3) unit noise; a random window of a cached tile if that is large enough."""
    if height > 900 or width > 900:
        return rng.standard_normal((height, width, 3), np.float32)
    v, u = rng.integers(0, 1024 - height), rng.integers(0, 1024 - width)
    return _grain_tile()[v : v + height, u : u + width]


def _motion_blur(image: np.ndarray, length: float) -> np.ndarray:
    """Radial blur from forward motion, symmetric about each pixel so that edges stay where the labels are."""
    height, width = image.shape[:2]
    out = image
    for k in (-0.5, 0.5):
        zoom = 1 + k * length / width
        matrix = np.array([[zoom, 0, (1 - zoom) * width / 2], [0, zoom, (1 - zoom) * height * 0.48]])
        out = out + cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return out / 3


def _lens_faults(image: np.ndarray, lens: Lens) -> np.ndarray:
    height, width = image.shape[:2]
    small = cv2.resize(image, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    level = float(np.mean(small)) * 2.5
    bright = np.maximum(small - level, 0)
    halo = cv2.GaussianBlur(bright, (0, 0), 1.2) * 0.6 + cv2.GaussianBlur(bright, (0, 0), 6) * 0.3
    wide = cv2.resize(bright, (width // 16, height // 16), interpolation=cv2.INTER_AREA)
    halo += cv2.resize(cv2.GaussianBlur(wide, (0, 0), 6), (width // 4, height // 4)) * (0.1 + lens.glare * 3)
    image = image + cv2.resize(halo, (width, height)) * lens.bloom * 2
    if lens.glare:
        image = image * (1 - lens.glare) + image.mean((0, 1)) * lens.glare
    if lens.blur:
        image = cv2.GaussianBlur(image, (0, 0), lens.blur)
    if lens.fringe:
        for channel, sign in ((0, 1), (2, -1)):
            zoom = 1 + sign * lens.fringe
            matrix = np.array([[zoom, 0, (1 - zoom) * width / 2], [0, zoom, (1 - zoom) * height / 2]])
            image[..., channel] = cv2.warpAffine(
                np.ascontiguousarray(image[..., channel]), matrix, (width, height), borderMode=cv2.BORDER_REPLICATE
            )
    if lens.vignette:
        y, x = np.linspace(-1, 1, height, dtype=np.float32)[:, None], np.linspace(-1, 1, width, dtype=np.float32)
        image = image * (1 - lens.vignette * (x * x + y * y) * 0.5)[..., None]
    return image


def _weather(rng: np.random.Generator, image: np.ndarray, lens: Lens) -> np.ndarray:
    height, width = image.shape[:2]
    if lens.streaks or lens.flakes:
        image = image + _precipitation(rng, height, width, lens)[..., None] * (image.mean((0, 1)) * 1.1)
    if lens.dirt:
        noise = cv2.resize(rng.random((6, 10), np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
        specks = cv2.GaussianBlur(
            (rng.random((height // 2, width // 2), np.float32) > 0.9985).astype(np.float32), (0, 0), 2.5
        )
        veil = np.clip(noise - 0.45, 0, 1) * 0.5 + np.minimum(cv2.resize(specks, (width, height)) * 18, 0.5)
        veil = (veil * lens.dirt)[..., None]
        image = image * (1 - veil) + image.mean((0, 1)) * 0.75 * veil
    return add_drops(rng, image, lens.drops) if lens.drops else image


def _precipitation(rng: np.random.Generator, height: int, width: int, lens: Lens) -> np.ndarray:
    layer = np.zeros((height, width), np.float32)
    slant = rng.normal(0, 0.15)
    for _ in range(int(220 * lens.streaks)):
        x, y, long = rng.uniform(0, width), rng.uniform(-20, height), rng.uniform(6, 34)
        end = int(x + slant * long), int(y + long)
        cv2.line(layer, (int(x), int(y)), end, float(rng.uniform(0.05, 0.28)), 1, cv2.LINE_AA)
    for _ in range(int(320 * lens.flakes)):
        center = int(rng.uniform(0, width)), int(rng.uniform(0, height))
        cv2.circle(
            layer,
            center,
            int(rng.choice([0, 1, 1, 2, 4], p=[0.4, 0.3, 0.15, 0.12, 0.03])),
            float(rng.uniform(0.2, 0.8)),
            -1,
            cv2.LINE_AA,
        )
    return cv2.GaussianBlur(layer, (0, 0), 0.8)


def _tone_mapped(image: np.ndarray, lens: Lens) -> np.ndarray:
    """Saturation, tone curve, gamma, sharpening and quantisation to eight bits."""
    grey = (image @ np.array([0.2126, 0.7152, 0.0722], np.float32))[..., None]
    image = np.clip(grey + (image - grey) * np.float32(lens.saturation), 0, BRIGHTEST)
    index = (np.sqrt(image) * np.float32((CURVE - 1) / BRIGHTEST**0.5)).astype(np.uint16)
    image = np.take(tone_curve(lens), index)
    if lens.sharpen:
        image = cv2.addWeighted(image, 1 + lens.sharpen, cv2.GaussianBlur(image, (0, 0), 1.0), -lens.sharpen, 0)
    return np.asarray(cv2.convertScaleAbs(np.maximum(image, 0)))


CURVE, BRIGHTEST = 4096, 16.0  # entries of the tone curve, linear value of the last one


def tone_curve(lens: Lens) -> np.ndarray:
    """(CURVE,) float32 values 0..255 for light (i / (CURVE - 1))**2 * BRIGHTEST; a table is ten times faster."""
    x = np.linspace(0, 1, CURVE) ** 2 * BRIGHTEST
    filmic = x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14)  # Narkowicz's fit of the ACES curve
    x = np.clip(lens.filmic * filmic + (1 - lens.filmic) * (1 - np.exp(-1.25 * x)), 0, 1) ** (1 / lens.gamma)
    x = x + lens.contrast * (x * x * (3 - 2 * x) - x)
    return (x * 255).astype(np.float32)
