"""Does the camera see? Flags for one frame, from its picture and from what the same camera showed before.

Time comes from the stamps of the images. Night is not a fault: some spot is bright and something has contrast, which is
what a lens cap lacks.

Figures of one image that tell whether the camera sees. They look at samples of it, to cost next to nothing.
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
    """(h, w) uint8: the green of about every (W / 160)th pixel."""
    step = max(1, image.shape[1] // SAMPLE_WIDTH)
    small = image[::step, ::step, 1]
    return np.ascontiguousarray(small)


def histogram(small: np.ndarray) -> list[float]:
    """How many values of a sample there are of each of 0..255."""
    return cv2.calcHist([small], [0], None, [256], [0, 256]).ravel().tolist()


def brightest(counts: Sequence[float], share: float = 0.005) -> int:
    """The value that this share of the pixels reaches: what the brightest spots are like."""
    few = share * sum(counts)
    from_above = accumulate(reversed(counts))
    return 255 - next((below for below, seen in enumerate(from_above) if seen > few), 255)


def saturated(counts: Sequence[float], value: int = 250) -> float:
    """Share of pixels at or above a value."""
    return float(sum(counts[value:]) / max(sum(counts), 1))


def cell_contrast(small: np.ndarray) -> np.ndarray:
    """GRID float32: how much the values differ within each cell of a sample, after averaging sensor noise away."""
    rows, columns = GRID
    coarse = cv2.resize(small.astype(np.float32), (columns * 4, rows * 4), interpolation=cv2.INTER_AREA)
    off = coarse.reshape(rows, 4, columns, 4) - _means(coarse)[:, None, :, None]
    return np.sqrt(_means(np.square(off).reshape(coarse.shape)))


def _means(coarse: np.ndarray) -> np.ndarray:
    """GRID float32: of each cell."""
    return cv2.resize(coarse, GRID[::-1], interpolation=cv2.INTER_AREA)


def sharpness(image: np.ndarray) -> float:
    """Variance of the Laplacian of the green, in bands of full resolution around the middle and below it.

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
    """Rows of each band, and all rows of an image of that height that are in one, band after band."""
    depth = min(BAND_ROWS, height)
    starts = np.linspace(min(height // 4, height - depth), height - depth, BANDS).astype(int)
    return depth, (starts[:, None] + np.arange(depth)).ravel()


FINE = Status(0)


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """From where on a picture is unhealthy."""

    dark: int = 24  # not even the brightest spots are this bright, 0..255
    overexposed: float = 0.5  # share of saturated pixels
    blur_floor: float = 4.0  # sharpness that no focused camera falls below
    blur_ratio: float = 0.2  # of the camera's usual sharpness
    flat: float = 1.5  # contrast below which a cell shows nothing, 0..255
    blocked: float = 0.9  # share of cells that show nothing
    lost: float = 0.3  # share of the usually detailed cells that suddenly show nothing
    frozen_frames: int = 10  # repetitions of one picture ...
    frozen_seconds: float = 1.0  # ... or for this long
    clock_gap: float = 5.0  # seconds between two frames


@dataclass(frozen=True, slots=True)
class HealthReport:
    """flags: bits of Status. values: the figures behind them, for diagnostics."""

    flags: Status
    values: dict[str, float] = field(default_factory=dict)


class HealthMonitor:
    """The health of one camera."""

    def __init__(self, limits: HealthLimits | None = None) -> None:
        self.limits = limits or HealthLimits()
        self.bad_images = 0
        self._refused = FINE
        self._clock = Clock()
        self._repeats = Repeats()
        self._usual = Usual()
        self._size: tuple[int, ...] | None = None

    def update(self, frame: Frame) -> HealthReport:
        """Judge one frame, given those before it."""
        flags, self._refused = self._refused, FINE
        flags |= self._clock.update(frame.stamp_ns, self.limits)
        if self._size not in (None, frame.image.shape):
            flags |= Status.RESOLUTION_CHANGED
        if flags & (Status.CLOCK_JUMP | Status.RESOLUTION_CHANGED):
            self._repeats, self._usual = Repeats(), Usual()
        self._size = frame.image.shape
        small = sample(frame.image)
        values = picture_values(frame.image, small)
        flags |= self._repeats.update(crc32(small.data), frame.stamp_ns, self.limits)
        flags |= picture_flags(values, self.limits) | self._usual.update(values, small, frame.stamp_ns, self.limits)
        return HealthReport(flags, values | self._usual.values | {"bad_images": float(self.bad_images)})

    def refuse(self, error: BadImage) -> Status:
        """Note an image that could not be decoded; the next report carries the flag too."""
        flag = Status.WRONG_ENCODING if isinstance(error, UnknownEncoding) else Status.BAD_IMAGE
        self.bad_images += 1
        self._refused |= flag
        return flag


def picture_values(image: np.ndarray, small: np.ndarray) -> dict[str, float]:
    """The figures of one picture by name; small is its sample."""
    counts = histogram(small)
    return {
        "brightest": float(brightest(counts)),
        "saturated": saturated(counts),
        "sharpness": sharpness(image),
    }


def picture_flags(values: dict[str, float], limits: HealthLimits) -> Status:
    """What one picture tells without a past."""
    dark = values["brightest"] < limits.dark
    flags = Status.IMAGE_DARK if dark else FINE
    if values["saturated"] > limits.overexposed:
        flags |= Status.IMAGE_OVEREXPOSED
    if values["sharpness"] < limits.blur_floor and not dark:
        flags |= Status.IMAGE_BLURRED
    return flags


class Clock:
    """Whether stamps go on."""

    def __init__(self) -> None:
        self.last_ns: int | None = None

    def update(self, stamp_ns: int, limits: HealthLimits) -> Status:
        seconds = 0.0 if self.last_ns is None else (stamp_ns - self.last_ns) / 1e9
        self.last_ns = stamp_ns
        return FINE if 0 <= seconds <= limits.clock_gap else Status.CLOCK_JUMP


class Repeats:
    """How long the picture has been the same to the last bit, which the noise of a living sensor rules out."""

    def __init__(self) -> None:
        self.hash: int | None = None
        self.since_ns = 0
        self.count = 0

    def update(self, picture_hash: int, stamp_ns: int, limits: HealthLimits) -> Status:
        if picture_hash != self.hash:
            self.hash, self.since_ns, self.count = picture_hash, stamp_ns, 0
            return FINE
        self.count += 1
        long = self.count >= 2 and stamp_ns - self.since_ns >= limits.frozen_seconds * 1e9
        return Status.IMAGE_FROZEN if long or self.count >= limits.frozen_frames else FINE


MEMORY, EVERY_NS, ENOUGH = 60, 1_000_000_000, 3  # samples, their distance, how many are a past


class Usual:
    """What the camera showed in the last minute. A new scene is taken for a fault for half a minute at most."""

    def __init__(self) -> None:
        self.sharpness: deque[float] = deque(maxlen=MEMORY)
        self.contrast: deque[np.ndarray] = deque(maxlen=MEMORY)
        self.values: dict[str, float] = {}
        self._sampled_ns: int | None = None
        self._usual_sharpness, self._usual_contrast = 0.0, np.zeros(0)

    def update(self, values: dict[str, float], small: np.ndarray, stamp_ns: int, limits: HealthLimits) -> Status:
        contrast = cell_contrast(small)
        flags = self._judge(values["sharpness"], contrast, limits)
        if self._sampled_ns is None or stamp_ns - self._sampled_ns >= EVERY_NS:
            self._remember(values["sharpness"], contrast, stamp_ns)
        return flags

    def _judge(self, sharp: float, contrast: np.ndarray, limits: HealthLimits) -> Status:
        flat = contrast < limits.flat
        lost, share = 0.0, np.count_nonzero(flat) / flat.size
        if len(self.sharpness) >= ENOUGH:
            detailed = self._usual_contrast > 2 * limits.flat
            count = np.count_nonzero(detailed)
            lost = np.count_nonzero(flat & detailed) / count if count > flat.size / 8 else 0.0
        self.values = {"flat": share, "lost": lost, "usual_sharpness": self._usual_sharpness}
        flags = Status.IMAGE_BLOCKED if share >= limits.blocked or lost >= limits.lost else FINE
        blurred = len(self.sharpness) >= ENOUGH and sharp < limits.blur_ratio * self._usual_sharpness
        return flags | Status.IMAGE_BLURRED if blurred and not flags else flags

    def _remember(self, sharp: float, contrast: np.ndarray, stamp_ns: int) -> None:
        self._sampled_ns = stamp_ns
        self.sharpness.append(sharp)
        self.contrast.append(contrast)
        self._usual_sharpness = float(np.median(self.sharpness))
        self._usual_contrast = np.median(self.contrast, axis=0)
