"""Rendered images with the light and colour of real ones: their lowest spatial frequencies are exchanged.

Source   Yang and Soatto 2020, FDA: Fourier domain adaptation for semantic segmentation, arXiv 2004.05498. Only a few
         frequencies change, so they are calculated on images of an eighth of the size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from perception_models.data.files import DataError, list_images, read_image
from perception_models.data.labels import OBJECTS, UNKNOWN
from perception_models.data.sample import Sample

REDUCED = 8  # times smaller: where the frequencies are exchanged


@dataclass(frozen=True)
class FourierConfig:
    """Fourier domain adaptation of images whose labels are complete, as those of rendered ones are.

    paths     folders of real images; their labels are not used
    fraction  of these images that are changed, 0..1
    band      smallest and largest share of the shorter side up to which frequencies are exchanged; from 0.01 on there
              are coloured clouds
    """

    paths: tuple[str, ...]
    fraction: float = 0.5
    band: tuple[float, float] = (0.0, 0.006)

    def __post_init__(self) -> None:
        if not self.paths or not 0 <= self.fraction <= 1 or not 0 <= self.band[0] <= self.band[1] <= 0.06:
            raise DataError("augment.fourier: give paths, a fraction of 0..1, and an ascending band of 0..0.06")


class FourierAdapter:
    """Gives samples the low frequencies of random images of the folders; raises DataError for a folder without any."""

    def __init__(self, config: FourierConfig):
        self.config = config
        self.paths = [path for folder in config.paths for path in list_images(Path(folder))]

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample, or one with another image, whose time of day is unknown then."""
        if len(sample.known_classes) < len(OBJECTS) or rng.random() >= self.config.fraction:
            return sample
        real = read_image(self.paths[int(rng.integers(len(self.paths)))])
        image = with_low_frequencies(sample.image, real, rng.uniform(*self.config.band))
        return replace(sample, image=image, scene={**sample.scene, "timeofday": UNKNOWN})


def with_low_frequencies(image: np.ndarray, other: np.ndarray, band: float) -> np.ndarray:
    """An image (H, W, 3) uint8 with the amplitudes, but its own phases, of another one's lowest frequencies.

    band  of the shorter side: frequencies of up to band * min(H, W) periods are exchanged, the mean always
    """
    height, width = image.shape[:2]
    size = max(width // REDUCED, 8), max(height // REDUCED, 8)
    small = (cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in (image, other))
    own, real = (np.fft.rfft2(each, axes=(0, 1)) for each in small)
    periods = band * min(height, width)
    low = (np.abs(np.fft.fftfreq(size[1], 1 / size[1]))[:, None] <= periods) & (np.arange(own.shape[1]) <= periods)
    changed = np.where(low[..., None], np.abs(real) * np.exp(1j * np.angle(own)), own)
    difference = np.fft.irfft2(changed - own, s=size[::-1], axes=(0, 1)).astype(np.float32)
    added = cv2.resize(difference, (width, height), interpolation=cv2.INTER_CUBIC)
    result: np.ndarray = np.clip(image + added, 0, 255).astype(np.uint8)
    return result
