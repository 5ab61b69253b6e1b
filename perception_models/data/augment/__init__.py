"""Augmentation of labelled images: geometry, lighting, weather, sensor and codec, with matching labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from perception_models.data.augment.fourier import FourierAdapter, FourierConfig
from perception_models.data.augment.geometry import random_view
from perception_models.data.augment.hood import hood
from perception_models.data.augment.mosaic import mosaic
from perception_models.data.augment.paste import PasteConfig, Paster
from perception_models.data.augment.photometric import blur, coarse, colour, dark, exposure, jpeg, noise
from perception_models.data.augment.weather import fog, glare, rain, shadow
from perception_models.data.labels import UNKNOWN
from perception_models.data.sample import Sample
from perception_models.data.warp import warp

Rng = np.random.Generator


class LightSource(Protocol):
    """Traffic-light crops that can be pasted into a sample."""

    def paste(self, sample: Sample, rng: Rng) -> Sample: ...


@dataclass(frozen=True)
class AugmentConfig:
    """Strength of the augmentation; probabilities 0..1."""

    scale: tuple[float, float] = (0.6, 1.7)  # zoom, 1: the whole image fits
    shift: float = 0.08  # fraction of the image
    tilt: float = 2.5  # degrees
    perspective: float = 0.4  # pitch and yaw as well; otherwise roll only
    flip: float = 0.5
    plain: float = 0.1  # no zoom, shift or tilt: the network must not forget the normal view
    mosaic: float = 0.1
    paste_lights: float = 0.3  # traffic-light crops pasted into images with labelled boxes
    exposure: float = 0.8
    colour: float = 0.5
    blur: float = 0.15
    noise: float = 0.3
    jpeg: float = 0.15
    coarse: float = 0.1
    fog: float = 0.04
    rain: float = 0.04
    shadow: float = 0.12
    glare: float = 0.05
    dark: float = 0.0  # dusk or underexposure; the time of day is then unknown
    strength: float = 1.0  # of exposure, colour and noise
    hood: float = 0.0  # the own car drawn over the bottom
    paste: PasteConfig | None = None  # cut-outs of real objects pasted onto the ground
    fourier: FourierConfig | None = None  # rendered images get the light and colour of real ones


NONE = AugmentConfig(
    scale=(1, 1), shift=0, tilt=0, perspective=0, flip=0, plain=1, mosaic=0, paste_lights=0,
    exposure=0, colour=0, blur=0, noise=0, jpeg=0, coarse=0, fog=0, rain=0, shadow=0, glare=0,
)  # fmt: skip


def augment(
    sample: Sample,
    size: tuple[int, int],
    rng: Rng,
    config: AugmentConfig = AugmentConfig(),
    *,
    lights: LightSource | None = None,
    partner: Callable[[Rng], Sample] | None = None,
    paster: Paster | None = None,
    adapter: FourierAdapter | None = None,
) -> Sample:
    """An augmented sample of size (height, width).

    lights   source of traffic-light crops to paste, or None
    partner  draws another sample of the same data set for a mosaic, or None
    paster   pastes real objects before the view changes, or None
    adapter  gives rendered images the light of real ones, or None
    """
    sample = paster(sample, rng) if paster else sample
    if partner and rng.random() < config.mosaic:
        sample = mosaic([sample, *(partner(rng) for _ in range(3))], size, rng)
    else:
        sample = warp(sample, view_of(sample, size, rng, config), size)
    if lights and sample.boxes is not None and rng.random() < config.paste_lights:
        sample = lights.paste(sample, rng)
    sample = adapter(sample, rng) if adapter else sample
    # Drawn only where it is used, so that runs without it keep their views.
    if config.hood and rng.random() < config.hood:
        sample = hood(sample, rng)
    return change_appearance(sample, rng, config)


def view_of(sample: Sample, size: tuple[int, int], rng: Rng, config: AugmentConfig) -> np.ndarray:
    """(3, 3) homography to the new view."""
    if rng.random() < config.plain:
        return random_view(sample.size, size, rng, scale=(1, 1), shift=0, tilt=0, flip=config.flip)
    names = ("scale", "shift", "tilt", "perspective", "flip")
    options = {name: getattr(config, name) for name in names}
    return random_view(sample.size, size, rng, **options, intrinsics=sample.intrinsics)


def change_appearance(sample: Sample, rng: Rng, config: AugmentConfig) -> Sample:
    """Lighting, weather, sensor and codec, in the order in which they affect a real image."""
    image, strength = sample.image, config.strength
    hazy = False
    for probability, change in ((config.shadow, shadow), (config.fog, fog), (config.rain, rain), (config.glare, glare)):
        if rng.random() < probability:
            image, hazy = change(image, rng), hazy or change in (fog, rain)
    # Drawn only where it is used, so that runs without it keep their views.
    dusk = bool(config.dark) and rng.random() < config.dark
    if dusk:
        image = dark(image, rng, strength)
    for probability, change in ((config.coarse, coarse), (config.blur, blur)):
        if rng.random() < probability:
            image = change(image, rng)
    for probability, change in ((config.exposure, exposure), (config.colour, colour), (config.noise, noise)):
        if rng.random() < probability:
            image = change(image, rng, strength)
    if rng.random() < config.jpeg:
        image = jpeg(image, rng)
    return replace(sample, image=image, scene=_scene_after(sample.scene, hazy, dusk))


def _scene_after(scene: dict[str, int], hazy: bool, dusk: bool) -> dict[str, int]:
    """Synthetic haze or streaks are not real fog or rain, a darkened day is no night: the attribute is unknown."""
    unknown = {"weather": UNKNOWN} if hazy else {}
    return {**scene, **unknown, **({"timeofday": UNKNOWN} if dusk else {})}
