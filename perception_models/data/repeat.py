"""Repeat-factor sampling (Gupta et al. 2019, arXiv 1908.03195): images of rare classes are drawn more often."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perception_models.data.cache import Samples
from perception_models.data.errors import DataError
from perception_models.data.labels import OBJECTS
from perception_models.data.sample import Sample


class Repeated:
    """A data set in which each image appears once or more often.

    threshold  share of images, above 0: an object class in fewer of them is rare; its images are repeated
               sqrt(threshold / share) times on average, an image with several classes as its rarest asks
    """

    def __init__(self, samples: Samples, threshold: float, seed: int = 0):
        if not 0 < threshold <= 1:
            raise DataError(f"repeat={threshold}: expected a share of the images, above 0 and at most 1")
        self.samples, self.files = samples, samples.files
        factors = repeat_factors(_presence(samples), threshold)
        times = np.floor(factors + np.random.default_rng(seed).random(len(factors))).astype(int)
        self._rows = np.repeat(np.arange(len(factors)), times)

    @property
    def names(self) -> Sequence[str]:
        return [self.samples.names[row] for row in self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[int(self._rows[index])]


def repeat_factors(presence: np.ndarray, threshold: float) -> np.ndarray:
    """(N,) how often each image should appear; presence (N, C) bool: which classes it holds."""
    share = presence.mean(0)
    factor = np.maximum(1, np.sqrt(threshold / np.maximum(share, 1e-9)))
    return np.where(presence, factor, 1).max(1, initial=1)


def _presence(samples: Samples) -> np.ndarray:
    """(N, C) bool; boxes that are ignored do not count."""
    presence = np.zeros((len(samples), len(OBJECTS)), bool)
    for index in range(len(samples)):
        boxes = samples[index].boxes
        if boxes is not None:
            presence[index, boxes.classes[~boxes.ignored]] = True
    return presence
