"""Image files, decoded with a limit on their size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from camera_perception.core.documents.parsing import Malformed, read_regular
from camera_perception.core.documents.text import shorten
from camera_perception.core.errors import BadImage
from camera_perception.image.compressed_size import check_scans, compressed_size
from camera_perception.image.encodings import MAX_PIXELS, check_pixels

MOST_BYTES = 1 << 29  # of a file: an uncompressed image of MAX_PIXELS


def read_file(path: Path | str, flags: int = cv2.IMREAD_COLOR, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """The pixels of an image on the disk, like decode_file; BadImage names the file, also one that is missing."""
    try:
        return decode_file(read_regular(path, MOST_BYTES), flags, max_pixels)
    except (Malformed, BadImage) as error:
        raise BadImage(f"{shorten(str(path), 150)} is not a readable image: {error}") from error


def size_of_file(path: Path | str) -> tuple[int, int]:
    """(height, width) in the header of an image on the disk; BadImage without one."""
    try:
        data = read_regular(path, MOST_BYTES)
    except Malformed as error:
        raise BadImage(f"{shorten(str(path), 150)} is not a readable image: {error}") from error
    if (size := compressed_size(data)) is None:
        raise BadImage(f"{shorten(str(path), 150)} has no size in its header: fix or remove it")
    return size[1], size[0]


def decode_file(data: Any, flags: int = cv2.IMREAD_COLOR, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """The pixels of an image file, as cv2.imdecode returns them for these flags.

    data    the bytes of the file
    raises  BadImage when it cannot be decoded, or its header announces more than max_pixels, before memory is taken
    """
    raw = bytes(data)
    check_scans(raw)
    size = compressed_size(raw) if raw else None
    if size is None:
        raise BadImage(f"an image file of {len(raw)} bytes has no size in its header: fix or remove it")
    check_pixels(*size, max_pixels)
    try:
        image = cv2.imdecode(np.frombuffer(raw, np.uint8), flags)
    except cv2.error as error:
        raise BadImage(
            f"an image file of {len(raw)} bytes cannot be decoded ({error.err}): fix or remove it"
        ) from error
    if image is None:
        raise BadImage(f"an image file of {len(raw)} bytes cannot be decoded: fix or remove it")
    return np.asarray(image)
