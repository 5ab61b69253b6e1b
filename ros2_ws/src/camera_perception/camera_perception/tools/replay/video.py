"""Video and sample images of a replay."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from camera_perception.io.video_file import VideoFile

SAMPLES = 9  # images in the report
RATE_STAMPS = 20  # stamps from which the frame rate is measured
DEFAULT_RATE = 10.0  # Hz, for fewer than two images


class FrameRate:
    """Images per second, the median over the first stamps."""

    def __init__(self) -> None:
        self.stamps: list[int] = []

    def add(self, stamp_ns: int) -> None:
        if len(self.stamps) < RATE_STAMPS:
            self.stamps.append(stamp_ns)

    @property
    def hz(self) -> float:
        gaps = np.diff(self.stamps)
        gap = float(np.median(gaps)) if len(gaps) else 0.0
        return min(120.0, max(1.0, 1e9 / gap)) if gap > 0 else DEFAULT_RATE


class VideoWriter:
    """A video whose first images wait until the frame rate is known."""

    def __init__(self, path: Path, enabled: bool = True) -> None:
        self.path, self._enabled = path, enabled
        self._waiting: list[np.ndarray] = []
        self._file: VideoFile | None = None

    def add(self, image: np.ndarray, rate: FrameRate) -> None:
        if not self._enabled:
            return
        self._waiting.append(image)
        if self._file is not None or len(self._waiting) >= 3:
            self._write_waiting(rate.hz)

    @property
    def written(self) -> bool:
        return self._file is not None

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._waiting:
            self._write_waiting(DEFAULT_RATE)
        if self._file is not None:
            self._file.close()

    def _write_waiting(self, hz: float) -> None:
        self._file = self._file or VideoFile(self.path, hz)
        for image in self._waiting:
            self._file.write(image)
        self._waiting.clear()


class Samples:
    """A few images, evenly spaced when their total number is known, else the first ones."""

    def __init__(self, total: int) -> None:
        spaced = np.linspace(0, max(total - 1, 0), SAMPLES).round().astype(int).tolist()
        self._indices = set(spaced) if total else set(range(SAMPLES))
        self.images: list[tuple[int, np.ndarray]] = []

    def wants(self, index: int) -> bool:
        return index in self._indices

    def add(self, index: int, image: np.ndarray) -> None:
        if self.wants(index):
            self.images.append((index, image.copy()))
