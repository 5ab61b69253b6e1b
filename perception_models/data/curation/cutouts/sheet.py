"""Contact sheets of cut-outs, on a background that shows their borders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from perception_models.data.augment.cutouts import Cutout, CutoutStore
from perception_models.data.drawing import tile

COLUMNS, ROWS, THUMB = 16, 8, (160, 110)
BACKGROUNDS = (95, 150)  # grey, two shades


def write_sheets(out: Path, cutouts: Sequence[Cutout]) -> None:
    """OUT/sheet/CATEGORY_NUMBER.png with all cut-outs."""
    folder = out / "sheet"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    store = CutoutStore(out, tuple(cutouts))
    for category in sorted({cutout.category for cutout in cutouts}):
        chosen = [cutout for cutout in cutouts if cutout.category == category]
        for number in range(0, len(chosen), COLUMNS * ROWS):
            images = [thumbnail(store, cutout) for cutout in chosen[number : number + COLUMNS * ROWS]]
            name = f"{category.replace(' ', '_')}_{number // (COLUMNS * ROWS)}.png"
            cv2.imwrite(str(folder / name), tile(images, COLUMNS, THUMB))


def thumbnail(store: CutoutStore, cutout: Cutout) -> np.ndarray:
    """(h, w, 3) uint8 on two greys, with the number of its file."""
    full = store.pixels(cutout, 1.0)
    scale = min(THUMB[0] / full.shape[0], THUMB[1] / full.shape[1])
    rgba = store.pixels(cutout, scale).astype(np.float32)
    ground = np.full(rgba.shape[:2], BACKGROUNDS[0], np.float32)
    ground[:, rgba.shape[1] // 2 :] = BACKGROUNDS[1]
    alpha = rgba[..., 3:] / 255
    image: np.ndarray = (rgba[..., :3] * alpha + ground[..., None] * (1 - alpha)).astype(np.uint8)
    return image
