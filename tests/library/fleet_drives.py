"""Small drives for tests of the data engine: folders of pictures with a bright box that moves, and a broken file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def write_drive(folder: Path, seed: int, images: int = 6) -> Path:
    """Pictures of a bright rectangle, a car to the tiny model, that moves to the right over noise."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    left, top = random.integers(5, 60), random.integers(20, 50)
    for number in range(images):
        image = random.integers(20, 60, (96, 160, 3)).astype(np.uint8)
        x = int(left + 4 * number)
        image[top : top + 24, x : x + 30] = 230
        cv2.imwrite(str(folder / f"{number:03d}.png"), image)
    return folder


def write_drives(folder: Path, count: int, broken: int = 0, images: int = 6) -> Path:
    """A folder of drives; of the broken ones nothing can be read."""
    for number in range(count):
        write_drive(folder / f"drive {number} ä", number, images)
    for number in range(broken):
        (folder / f"broken_{number}.mcap").write_bytes(b"\x89MCAP0\r\n" + bytes([number]) * 100)
    return folder
