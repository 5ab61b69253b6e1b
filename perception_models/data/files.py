"""Reading files that may be broken: every failure is a DataError that starts with the file's name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from perception_models.data.errors import DataError
from perception_models.data.labels import IGNORE

IMAGES = (".jpg", ".jpeg", ".png")


def read_image(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 BGR."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
    if image is None:
        raise DataError(f"{path}: {'not a readable image' if path.exists() else 'no such image'}; fix or remove it")
    return image


def read_mask(path: Path, classes: int | None, size: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8 ids below `classes` or 255 (any byte when None), of the size (height, width) of its image."""
    mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.is_file() else None
    if mask is None:
        raise DataError(f"{path}: not a readable mask; fix or remove it")
    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise DataError(f"{path}: a mask is one channel of 8 bits, this one is {mask.shape} {mask.dtype}")
    if mask.shape != size:
        raise DataError(f"{path}: the mask is {mask.shape[1]}x{mask.shape[0]}, its image {size[1]}x{size[0]}")
    if classes is not None and (wrong := mask[(mask >= classes) & (mask != IGNORE)]).size:
        raise DataError(f"{path}: holds id {wrong[0]}, expected 0..{classes - 1} or {IGNORE}")
    return mask


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as JSON: {error}") from error


def read_json_lines(path: Path) -> list[Any]:
    """One JSON value per line."""
    values = []
    for number, line in enumerate(read_lines(path), 1):
        try:
            values.append(json.loads(line))
        except ValueError as error:
            raise DataError(f"{path}: line {number} is not JSON: {error}") from error
    return values


def read_lines(path: Path) -> list[str]:
    """The lines of a text file that hold anything."""
    try:
        return [line for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as text: {error}") from error


def list_images(folder: Path) -> list[Path]:
    """All images directly in a folder, by name."""
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in IMAGES) if folder.is_dir() else []
    if not paths:
        raise DataError(f"{folder}: no .jpg or .png images here")
    return paths
