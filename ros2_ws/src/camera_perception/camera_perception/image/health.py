"""Camera health: detect dark, overexposed, blurred, frozen and blocked images and clock jumps.

Each frame is judged by its own image and by the recent past of the same camera. Time comes from image stamps. Night is
not a fault: unlike a capped lens, a night image has bright spots and contrast. All metrics use a sample of the image to
keep the cost negligible.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from zlib import crc32

import cv2
import numpy as np

from camera_perception.core.errors import BadImage, UnknownEncoding
from camera_perception.core.types import Frame, Status

SAMPLE_WIDTH, GRID = 160, (6, 8)
BANDS, BAND_ROWS = 8, 8


def sample(image: np.ndarray) -> np.ndarray:
    """(h, w) uint8: the green channel of about every (W / 160)th pixel."""
    step = max(1, image.shape[1] // SAMPLE_WIDTH)
    small = image[::step, ::step, 1]
    return np.ascontiguousarray(small)


def histogram(small: np.ndarray) -> list[float]:
    """Number of pixels of a sample at each value 0..255."""
    counts: list[float] = cv2.calcHist([small], [0], None, [256], [0, 256]).ravel().tolist()
    return counts


def brightest(counts: Sequence[float], fraction: float = 0.005) -> int:
    """The value that this fraction of the pixels exceeds: brightness of the brightest spots."""
    required = fraction * sum(counts)
    from_above = accumulate(reversed(counts))
    return 255 - next((below for below, pixels in enumerate(from_above) if pixels > required), 255)


def saturated_fraction(counts: Sequence[float], value: int = 250) -> float:
    """Fraction of pixels at or above a value."""
    return float(sum(counts[value:]) / max(sum(counts), 1))


def cell_contrast(small: np.ndarray) -> np.ndarray:
    """GRID float32: standard deviation within each cell of a sample, after averaging sensor noise away."""
    rows, columns = GRID
    coarse = cv2.resize(small.astype(np.float32), (columns * 4, rows * 4), interpolation=cv2.INTER_AREA)
    off = coarse.reshape(rows, 4, columns, 4) - _means(coarse)[:, None, :, None]
    contrast: np.ndarray = np.sqrt(_means(np.square(off).reshape(coarse.shape)))
    return contrast


def _means(coarse: np.ndarray) -> np.ndarray:
    """GRID float32: mean of each cell."""
    return cv2.resize(coarse, GRID[::-1], interpolation=cv2.INTER_AREA)


def sharpness(image: np.ndarray) -> float:
    """Variance of the Laplacian of the green channel, in full-resolution bands around and below the image centre.

    Falls steeply with blur, grows with detail and noise: compare it with the same camera's past, not between cameras.
    Source: Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, ICPR 2000.
    """
    height, width = image.shape[:2]
    if height < 3:
        return 0.0
    depth, rows = _bands(height)
    bands = image[:, width // 4 : width - width // 4, 1][rows]
    inner = cv2.Laplacian(bands, cv2.CV_16S).reshape(len(rows) // depth, depth, -1)[:, 1:-1]
    return float(cv2.meanStdDev(inner.reshape(-1, bands.shape[1]))[1][0, 0] ** 2)


@lru_cache(maxsize=8)
def _bands(height: int) -> tuple[int, np.ndarray]:
    """Number of rows per band, and the row indices of all bands of an image of that height."""
    depth = min(BAND_ROWS, height)
    starts = np.linspace(min(height // 4, height - depth), height - depth, BANDS).astype(int)
    return depth, (starts[:, None] + np.arange(depth)).ravel()


NO_FLAGS = Status(0)


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """Thresholds of unhealthy images."""

    dark: int = 24  # minimum brightness of the brightest spots, 0..255
    overexposed: float = 0.5  # fraction of saturated pixels
    blur_floor: float = 4.0  # sharpness that every focused camera exceeds
    blur_ratio: float = 0.2  # minimum sharpness relative to the camera's baseline
    flat: float = 1.5  # contrast below which a cell counts as flat, 0..255
    blocked: float = 0.9  # fraction of flat cells
    lost: float = 0.3  # fraction of usually detailed cells that have become flat
    frozen_frames: int = 10  # repetitions of one image ...
    frozen_seconds: float = 1.0  # ... or repetition for this long
    clock_gap: float = 5.0  # maximum seconds between two frames


@dataclass(frozen=True, slots=True)
class HealthReport:
    """flags: bits of Status. values: the metrics behind them, for diagnostics."""

    flags: Status
    values: dict[str, float] = field(default_factory=dict)


class HealthMonitor:
    """Monitors the image health of one camera.

    flag_identical  whether identical images are flagged; false for simulators without noise
    """

    def __init__(self, limits: HealthLimits | None = None) -> None:
        self.limits = limits or HealthLimits()
        self.bad_images = 0
        self.flag_identical = True
        self._refused = NO_FLAGS
        self._clock = ClockCheck()
        self._frozen = FrozenImageDetector()
        self._baseline = Baseline()
        self._size: tuple[int, ...] | None = None

    def update(self, frame: Frame) -> HealthReport:
        """Check one frame against thresholds and the recent past."""
        flags, self._refused = self._refused, NO_FLAGS
        flags |= self._clock.update(frame.stamp_ns, self.limits)
        if self._size not in (None, frame.image.shape):
            flags |= Status.RESOLUTION_CHANGED
        if flags & (Status.CLOCK_JUMP | Status.RESOLUTION_CHANGED):
            self._frozen, self._baseline = FrozenImageDetector(), Baseline()
        self._size = frame.image.shape
        small = sample(frame.image)
        values = image_values(frame.image, small)
        if self.flag_identical:
            flags |= self._frozen.update(crc32(small.data), frame.stamp_ns, self.limits)
        flags |= image_flags(values, self.limits) | self._baseline.update(values, small, frame.stamp_ns, self.limits)
        return HealthReport(flags, values | self._baseline.values | {"bad_images": float(self.bad_images)})

    def refuse(self, error: BadImage) -> Status:
        """Count an image that could not be decoded; the next report also carries its flag."""
        flag = Status.WRONG_ENCODING if isinstance(error, UnknownEncoding) else Status.BAD_IMAGE
        self.bad_images += 1
        self._refused |= flag
        return flag


def image_values(image: np.ndarray, small: np.ndarray) -> dict[str, float]:
    """Metrics of one image by name; small is its sample."""
    counts = histogram(small)
    return {
        "brightest": float(brightest(counts)),
        "saturated": saturated_fraction(counts),
        "sharpness": sharpness(image),
    }


def image_flags(values: dict[str, float], limits: HealthLimits) -> Status:
    """Flags that follow from one image alone."""
    dark = values["brightest"] < limits.dark
    flags = Status.IMAGE_DARK if dark else NO_FLAGS
    if values["saturated"] > limits.overexposed:
        flags |= Status.IMAGE_OVEREXPOSED
    if values["sharpness"] < limits.blur_floor and not dark:
        flags |= Status.IMAGE_BLURRED
    return flags


class ClockCheck:
    """Detects stamps that go backwards or leave a gap."""

    def __init__(self) -> None:
        self.last_ns: int | None = None

    def update(self, stamp_ns: int, limits: HealthLimits) -> Status:
        seconds = 0.0 if self.last_ns is None else (stamp_ns - self.last_ns) / 1e9
        self.last_ns = stamp_ns
        return NO_FLAGS if 0 <= seconds <= limits.clock_gap else Status.CLOCK_JUMP


class FrozenImageDetector:
    """Detects bit-identical images, which the noise of a working sensor rules out."""

    def __init__(self) -> None:
        self.hash: int | None = None
        self.since_ns = 0
        self.count = 0

    def update(self, image_hash: int, stamp_ns: int, limits: HealthLimits) -> Status:
        if image_hash != self.hash:
            self.hash, self.since_ns, self.count = image_hash, stamp_ns, 0
            return NO_FLAGS
        self.count += 1
        long = self.count >= 2 and stamp_ns - self.since_ns >= limits.frozen_seconds * 1e9
        return Status.IMAGE_FROZEN if long or self.count >= limits.frozen_frames else NO_FLAGS


BASELINE_SAMPLES, INTERVAL_NS, MIN_SAMPLES = 60, 1_000_000_000, 3  # kept, taken every, needed for a comparison


class Baseline:
    """Sharpness and contrast of the last minute. A new scene is mistaken for a fault for half a minute at most."""

    def __init__(self) -> None:
        self.sharpness: deque[float] = deque(maxlen=BASELINE_SAMPLES)
        self.contrast: deque[np.ndarray] = deque(maxlen=BASELINE_SAMPLES)
        self.values: dict[str, float] = {}
        self._sampled_ns: int | None = None
        self._median_sharpness, self._median_contrast = 0.0, np.zeros(0)

    def update(self, values: dict[str, float], small: np.ndarray, stamp_ns: int, limits: HealthLimits) -> Status:
        contrast = cell_contrast(small)
        flags = self._compare(values["sharpness"], contrast, limits)
        if self._sampled_ns is None or stamp_ns - self._sampled_ns >= INTERVAL_NS:
            self._append(values["sharpness"], contrast, stamp_ns)
        return flags

    def _compare(self, sharp: float, contrast: np.ndarray, limits: HealthLimits) -> Status:
        flat = contrast < limits.flat
        lost, fraction = 0.0, np.count_nonzero(flat) / flat.size
        if len(self.sharpness) >= MIN_SAMPLES:
            detailed = self._median_contrast > 2 * limits.flat
            count = np.count_nonzero(detailed)
            lost = np.count_nonzero(flat & detailed) / count if count > flat.size / 8 else 0.0
        self.values = {"flat": fraction, "lost": lost, "baseline_sharpness": self._median_sharpness}
        flags = Status.IMAGE_BLOCKED if fraction >= limits.blocked or lost >= limits.lost else NO_FLAGS
        blurred = len(self.sharpness) >= MIN_SAMPLES and sharp < limits.blur_ratio * self._median_sharpness
        return flags | Status.IMAGE_BLURRED if blurred and not flags else flags

    def _append(self, sharp: float, contrast: np.ndarray, stamp_ns: int) -> None:
        self._sampled_ns = stamp_ns
        self.sharpness.append(sharp)
        self.contrast.append(contrast)
        self._median_sharpness = float(np.median(self.sharpness))
        self._median_contrast = np.median(self.contrast, axis=0)
