"""Whether pictures of a folder follow each other as in a film, or have nothing to do with each other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from camera_perception.core.errors import BadImage
from camera_perception.image.files import read_file

PAIRS = 8  # neighbours that are compared
THUMBNAIL = 160, 90  # width and height
# Medians: 0.59 to 0.99 of drives with 1 to 25 images a second (CamVid, PandaSet, Udacity), 0.19 of pictures from
# anywhere (COCO, Open Images).
LEAST_LIKENESS = 0.4


def are_separate(files: Sequence[Path]) -> bool:
    """True when the sizes of the pictures differ or neighbours do not overlap. Unreadable ones are left out.

    One picture alone belongs to no drive either.
    """
    pairs = [*pairwise(files)]
    chosen = [pairs[i] for i in np.unique(np.linspace(0, len(pairs) - 1, min(PAIRS, len(pairs))).round().astype(int))]
    images = [[_grey(file) for file in pair] for pair in chosen]
    readable = [(first, second) for first, second in images if first is not None and second is not None]
    if not readable:
        return True
    if len({image.shape for pair in readable for image in pair}) > 1:
        return True
    return float(np.median([likeness(first, second) for first, second in readable])) < LEAST_LIKENESS


def likeness(first: np.ndarray, second: np.ndarray) -> float:
    """-1..1: how well the middle of one grey image (H, W) is found again in the other, without their coarse shading."""
    fine, other = _details(first), _details(second)
    height, width = fine.shape
    middle = fine[height // 4 : height - height // 4, width // 4 : width - width // 4]
    return float(cv2.matchTemplate(other, middle, cv2.TM_CCOEFF_NORMED).max())


def _grey(file: Path) -> np.ndarray | None:
    """(H, W) uint8, None of a file that cannot be read."""
    try:
        return read_file(file, cv2.IMREAD_GRAYSCALE)
    except BadImage:
        return None


def _details(image: np.ndarray) -> np.ndarray:
    # Every road picture has a bright sky above a dark road: that is not what makes two of them alike.
    small = cv2.resize(image, THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.float32)
    return small - cv2.GaussianBlur(small, (0, 0), 8)
