"""From 16-bit samples to 8 bits: of cameras that use 10, 12 or 14 of them, and of thermal cameras."""

from __future__ import annotations

import math

import cv2
import numpy as np

from camera_perception.core.errors import BadImage

FULL, AUTO = "full", "auto"
WIDEST = 65535
DARKEST, BRIGHTEST = 0.5, 99.5  # percentiles that become black and white
SAMPLES = 40_000  # pixels that the percentiles are taken from
NARROW, WIDE = 16384, 20480  # counts between them: below the first the range is stretched, above the second no longer
LEAST_WIDTH = 256  # counts; less is the noise of a covered lens, which must stay dark
FOLLOW = 0.1  # of the difference to each image's percentiles; a faster change is flicker


def full_range(image: np.ndarray) -> np.ndarray:
    """uint16 of any shape -> uint8: 0..65535 becomes 0..255."""
    narrowed: np.ndarray = cv2.convertScaleAbs(image, alpha=255 / WIDEST)
    return narrowed


def parse_range(text: str) -> tuple[float, float] | None:
    """ "full" as (0, 65535), "LOW,HIGH" as numbers, "auto" as None; ValueError for anything else."""
    if text == AUTO:
        return None
    if text == FULL:
        return 0.0, float(WIDEST)
    low, high = map(float, text.split(","))
    if not (math.isfinite(low) and 0 <= low < high <= WIDEST):
        raise ValueError(text)
    return low, high


class SampleRange:
    """The range of one camera's 16-bit samples; called with each image in order.

    range      "full": all 16 bits. "LOW,HIGH": samples that become black and white, such as "0,4095" for 12 bits.
               "auto": full while the image uses a quarter of it, else from its percentiles, followed slowly
    stretched  the range of the last image came from its percentiles
    raises BadImage for any other range
    """

    def __init__(self, range: str = AUTO) -> None:
        try:
            self._fixed = parse_range(range)
        except ValueError as error:
            raise BadImage(f"range '{range}' of 16-bit images: give auto, full, or LOW,HIGH such as 0,4095") from error
        self._followed: tuple[float, float] | None = None
        self._narrow = self.stretched = False

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """uint16 (H, W) or (H, W, C) -> uint8 of the same shape."""
        low, high = self._fixed or self._measured(image)
        if low > 0 or high < WIDEST:
            scale = 255 / (high - low)
            image = np.maximum(image, math.floor(low))  # below it the absolute value would rise again
            narrowed: np.ndarray = cv2.convertScaleAbs(image, alpha=scale, beta=-math.floor(low) * scale)
            return narrowed
        return full_range(image)

    def _measured(self, image: np.ndarray) -> tuple[float, float]:
        step = max(1, math.isqrt(image.shape[0] * image.shape[1] // SAMPLES))
        low, high = np.percentile(image[::step, ::step], (DARKEST, BRIGHTEST))
        if self._followed is not None:
            before = self._followed
            low, high = (old + FOLLOW * (new - old) for old, new in zip(before, (low, high)))
        self._followed = float(low), float(high)
        self._narrow = self.stretched = bool(high - low < (WIDE if self._narrow else NARROW))
        if not self._narrow:
            return 0.0, float(WIDEST)
        low = max(0.0, min(low, WIDEST - LEAST_WIDTH))
        return float(low), float(max(high, low + LEAST_WIDTH))
