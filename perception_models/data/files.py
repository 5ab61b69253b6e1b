"""Reading of files that may be broken: every failure is a DataError that names the file and the problem. Locks."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from camera_perception.core.errors import BadImage, PerceptionError
from camera_perception.core.natural_order import natural_order
from camera_perception.image.files import decode_file
from perception_models.data.labels import IGNORE


class DataError(PerceptionError, ValueError):
    """A label file, an image or a mask cannot be used."""


MOST_PIXELS = 1_000_000  # of a coordinate, either way
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
JPEG, JPEG_SCAN, JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
MALFORMED = (ArithmeticError, AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError)


@contextmanager
def malformed_as_data_error(where: Path | str) -> Iterator[None]:
    """Turn errors caused by data of an unexpected form into a DataError that begins with `where`."""
    try:
        yield
    except DataError:
        raise
    except MALFORMED as error:
        raise DataError(f"{where}: not in the expected form ({error!r}); fix or remove it") from error


def finite(points: Sequence[Any] | np.ndarray) -> np.ndarray:
    """(P, 2) float64; ValueError if a coordinate is not a finite number, or far outside of any image."""
    array = np.asarray(points, np.float64)
    if array.ndim == 2 and array.shape[1] != 2 or not np.isfinite(array).all():
        raise ValueError("a point is not two finite numbers")
    if np.abs(array).max(initial=0) > MOST_PIXELS:
        raise ValueError(f"a point is more than {MOST_PIXELS} pixels away: filling its polygon would take hours")
    return array.reshape(-1, 2)


def read_image(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 BGR."""
    if not is_file(path):
        raise DataError(f"{path}: no such image; add the file or remove its label")
    data = path.read_bytes()
    image = _decoded(data, cv2.IMREAD_COLOR, path)
    # OpenCV fills the missing part of a truncated JPEG with grey and reports no error.
    if data.startswith(JPEG) and data.rfind(JPEG_END) < data.rfind(JPEG_SCAN):
        raise DataError(f"{path}: truncated; copy or download it again")
    return image


def is_file(path: Path) -> bool:
    """Also of a name that is too long for the file system, as a damaged list gives it."""
    try:
        return path.is_file()
    except OSError:
        return False


def _decoded(data: bytes, flags: int, path: Path) -> np.ndarray:
    try:
        return decode_file(data, flags)
    except BadImage as error:
        raise DataError(f"{path}: not a readable image ({error})") from error


def read_mask(path: Path, classes: int | None, size: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8 ids below `classes` or 255 (any byte if None), checked against the (height, width) of its image."""
    if not is_file(path):
        raise DataError(f"{path}: no such mask; add the file or remove its label")
    mask = _decoded(path.read_bytes(), cv2.IMREAD_UNCHANGED, path)
    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise DataError(f"{path}: expected a mask of one 8-bit channel, got {mask.shape} {mask.dtype}")
    if mask.shape != size:
        raise DataError(f"{path}: the mask is {mask.shape[1]}x{mask.shape[0]}, its image {size[1]}x{size[0]}")
    if classes is not None and (wrong := mask[(mask >= classes) & (mask != IGNORE)]).size:
        raise DataError(f"{path}: holds id {wrong[0]}, expected 0..{classes - 1} or {IGNORE}")
    return mask


def read_json(path: Path) -> Any:
    try:
        return json.loads(_text(path))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error}); copy or download it again") from error


def read_json_lines(path: Path) -> list[Any]:
    """One JSON value per line."""
    values = []
    for number, line in enumerate(read_lines(path), 1):
        try:
            values.append(json.loads(line))
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: line {number} is not JSON: {error}") from error
    return values


def _text(path: Path) -> str:
    if path.exists() and not path.is_file():
        raise OSError("it is a pipe, a device or a folder, not a file")
    return path.read_text("utf-8-sig")


def read_lines(path: Path) -> list[str]:
    """The non-blank lines of a text file."""
    try:
        return [line for line in _text(path).splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as text: {error}") from error


def list_images(folder: Path) -> list[Path]:
    """All images directly in a folder, in natural order."""
    found = folder.glob("*") if folder.is_dir() else ()
    paths = natural_order(path for path in found if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise DataError(f"{folder}: no .jpg or .png images here")
    return paths


@contextmanager
def exclusive(path: Path) -> Iterator[int]:
    """Hold the lock of this file until the end, also of the process; wait for whoever has it. Its descriptor."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()
