"""Pictures of a replay: a film of all, and a few samples for the report."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from camera_perception.errors import BagError

SAMPLES = 9  # pictures in the report


class Rate:
    """Images per second by their stamps."""

    def __init__(self) -> None:
        self.stamps: list[int] = []

    def add(self, stamp_ns: int) -> None:
        if len(self.stamps) < 20:
            self.stamps.append(stamp_ns)

    @property
    def hz(self) -> float:
        gaps = np.diff(self.stamps)
        gap = float(np.median(gaps)) if len(gaps) else 0.0
        return min(120.0, max(1.0, 1e9 / gap)) if gap > 0 else 10.0


class Film:
    """overlay.mp4; begins when the rate is known, and keeps the size of its first image."""

    def __init__(self, path: Path, wanted: bool) -> None:
        self._path, self._wanted = path, wanted
        self._waiting: list[np.ndarray] = []
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)

    def add(self, picture: np.ndarray, rate: Rate) -> None:
        if not self._wanted:
            return
        self._waiting.append(picture)
        if self._writer is None and len(self._waiting) < 3:
            return
        self._write_waiting(rate.hz)

    def __enter__(self) -> Film:
        return self

    def __exit__(self, *_: object) -> None:
        if self._waiting:
            self._write_waiting(10.0)
        if self._writer is not None:
            self._writer.release()

    def _write_waiting(self, hz: float) -> None:
        if self._writer is None:
            self._size = self._waiting[0].shape[1], self._waiting[0].shape[0]
            self._writer = cv2.VideoWriter(str(self._path), cv2.VideoWriter.fourcc(*"mp4v"), hz, self._size)
            if not self._writer.isOpened():
                raise BagError(f"{self._path} cannot be written: OpenCV has no mp4 encoder, or the disk is full")
        for picture in self._waiting:
            fits = (picture.shape[1], picture.shape[0]) == self._size
            self._writer.write(picture if fits else cv2.resize(picture, self._size))
        self._waiting.clear()


class Samples:
    """A few pictures, evenly spaced when the number of images is known, else the first ones."""

    def __init__(self, total: int) -> None:
        spaced = np.linspace(0, max(total - 1, 0), SAMPLES).round().astype(int).tolist()
        self._wanted = set(spaced) if total else set(range(SAMPLES))
        self.pictures: list[tuple[int, np.ndarray]] = []

    def wants(self, index: int) -> bool:
        return index in self._wanted

    def add(self, index: int, picture: np.ndarray) -> None:
        if self.wants(index):
            self.pictures.append((index, picture.copy()))
