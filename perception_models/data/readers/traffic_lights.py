"""Real traffic-light crops, DIR/{red,yellow,green}/*.jpg tight around the housing: a data set and a paste source."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from zlib import crc32

import cv2
import numpy as np

from camera_perception.core.natural_order import natural_order
from perception_models.data.augment.photometric import colour, exposure
from perception_models.data.files import IMAGE_SUFFIXES, DataError, read_image
from perception_models.data.labels import DRIVABLE, LIGHT, LIGHT_STATES, NO_LIGHT, SEMANTIC
from perception_models.data.sample import Boxes, Sample, boxes_from_rows
from perception_models.data.warp import PAD

SIGN = SEMANTIC.index("sign or signal")
FOLDS = 5


class LightCrops:
    """One sample per crop, on a canvas.

    fold    "all", "train" (four fifths, chosen by file name) or "val" (the rest)
    canvas  (height, width) of the samples
    plain   True: one crop at its own size, centred on a grey canvas, for evaluation;
            False: several crops of random sizes on random backgrounds, for training
    """

    def __init__(self, folder: Path | str, fold: str = "all", canvas: tuple[int, int] = (384, 640), plain: bool = True):
        self.folder, self.canvas, self.plain = Path(folder), canvas, plain
        if LIGHT == NO_LIGHT:
            raise DataError(
                f"{self.folder}: crops of traffic lights need the class 'traffic light': add it to --objects"
            )
        self.crops = [(p, LIGHT_STATES.index(p.parent.name)) for p in self._paths() if in_fold(p.name, fold)]
        if not self.crops:
            raise DataError(f"{self.folder}: expected crops in {', '.join(s + '/' for s in LIGHT_STATES[:3])}")
        states = np.array([state for _, state in self.crops])
        weights = np.bincount(states, minlength=len(LIGHT_STATES))[states] ** -0.5  # between natural and equal rates
        self._cumulative = np.cumsum(weights) / weights.sum()

    def _paths(self) -> list[Path]:
        paths = (path for state in LIGHT_STATES for path in (self.folder / state).glob("*"))
        return natural_order(path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES)

    @property
    def names(self) -> list[str]:
        return [f"{path.parent.name}/{path.name}" for path, _ in self.crops]

    @property
    def files(self) -> list[Path]:
        return [path for path, _ in self.crops]

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, index: int) -> Sample:
        name = self.names[index]
        if self.plain:
            return self._plain(name, *self.crops[index])
        rng = np.random.default_rng(crc32(name.encode()))
        empty = Sample(name, background(self.canvas, rng), Boxes.empty(), attributes={"source": "traffic_light_crops"})
        return self.paste(empty, rng, count=int(rng.integers(1, 5)), tallest=0.4, first=self.crops[index])

    def _plain(self, name: str, path: Path, state: int) -> Sample:
        image = np.full((*self.canvas, 3), PAD, np.uint8)
        crop = _fit(read_image(path), self.canvas)
        height, width = crop.shape[:2]
        top, left = (self.canvas[0] - height) // 2, (self.canvas[1] - width) // 2
        image[top : top + height, left : left + width] = crop
        boxes = boxes_from_rows([([left, top, left + width, top + height], LIGHT, False, state)])
        fold = "val" if in_fold(path.name, "val") else "train"
        return Sample(name, image, boxes, attributes={"source": "traffic_light_crops", "fold": fold})

    def paste(
        self,
        sample: Sample,
        rng: np.random.Generator,
        count: int | None = None,
        tallest: float = 0.25,
        first: tuple[Path, int] | None = None,
    ) -> Sample:
        """The sample with lights added to its upper part, labelled in boxes and masks.

        tallest  fraction of the image height; sizes are drawn log-uniformly from 10 pixels up
        """
        boxes = sample.boxes or Boxes.empty()
        sample = replace(
            sample, image=sample.image.copy(), semantic=_copy(sample.semantic), drivable=_copy(sample.drivable)
        )
        for number in range(count or int(rng.integers(1, 4))):
            path, state = (
                first if first and number == 0 else self.crops[int(np.searchsorted(self._cumulative, rng.random()))]
            )
            crop = _vary(_cached_image(path), rng, sample.size[0] * tallest)
            corner = _free_position((crop.shape[0], crop.shape[1]), sample.size, boxes.boxes, rng)
            if corner is not None:
                boxes = Boxes.concatenate([boxes, _insert(sample, crop, corner, state, rng)])
        return replace(sample, boxes=boxes)


def in_fold(name: str, fold: str) -> bool:
    """Whether a file belongs to a fold; this depends on its name alone."""
    if fold not in ("all", "train", "val"):
        raise DataError(f"fold '{fold}': expected all, train or val")
    return fold == "all" or (crc32(name.encode()) % FOLDS == 0) == (fold == "val")


def background(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) uint8: padding grey, plain colour, a gradient, or coloured clouds."""
    grid = [None, (1, 1), (2, 1), (int(rng.integers(3, 12)), int(rng.integers(4, 20)))][int(rng.integers(4))]
    if grid is None:
        return np.full((*size, 3), PAD, np.uint8)
    base = rng.uniform(0, 255) + rng.normal(0, 20, 3) + rng.normal(0, 30, (*grid, 1)) + rng.normal(0, 12, (*grid, 3))
    return cv2.resize(base.clip(0, 255).astype(np.uint8), size[::-1], interpolation=cv2.INTER_CUBIC)


@lru_cache(maxsize=2048)
def _cached_image(path: Path) -> np.ndarray:
    return read_image(path)


def _copy(mask: np.ndarray | None) -> np.ndarray | None:
    return None if mask is None else mask.copy()


def _fit(crop: np.ndarray, canvas: tuple[int, int]) -> np.ndarray:
    """At its own size, or shrunk to a third of the canvas."""
    scale = min(1.0, canvas[0] / 3 / crop.shape[0], canvas[1] / 3 / crop.shape[1])
    size = max(round(crop.shape[1] * scale), 1), max(round(crop.shape[0] * scale), 1)
    return cv2.resize(crop, size, interpolation=cv2.INTER_AREA)


def _vary(crop: np.ndarray, rng: np.random.Generator, tallest: float) -> np.ndarray:
    """Random size, aspect, mirroring and lighting."""
    height = math.exp(rng.uniform(math.log(10), math.log(max(tallest, 12))))
    width = height * crop.shape[1] / crop.shape[0] * rng.uniform(0.85, 1.15)
    crop = crop[:, ::-1] if rng.random() < 0.5 else crop
    crop = cv2.resize(crop, (max(round(width), 4), round(height)), interpolation=cv2.INTER_AREA)
    return exposure(colour(crop, rng, 0.5), rng, 0.6)


def _free_position(
    crop: tuple[int, int], size: tuple[int, int], boxes: np.ndarray, rng: np.random.Generator
) -> tuple[int, int] | None:
    """(top, left) where the crop covers no labelled object, or None after a few attempts."""
    height, width = crop
    for _ in range(8):
        top = int(rng.uniform(0, max(size[0] * 0.6 - height, 1)))
        left = int(rng.uniform(0, max(size[1] - width, 1)))
        free = (
            (boxes[:, 2] <= left) | (boxes[:, 0] >= left + width) | (boxes[:, 3] <= top) | (boxes[:, 1] >= top + height)
        )
        if free.all() and top + height <= size[0] and left + width <= size[1]:
            return top, left
    return None


def _insert(sample: Sample, crop: np.ndarray, corner: tuple[int, int], state: int, rng: np.random.Generator) -> Boxes:
    (top, left), (height, width) = corner, crop.shape[:2]
    area = np.s_[top : top + height, left : left + width]
    opaque = rng.uniform(0.85, 1.0)
    sample.image[area] = cv2.addWeighted(crop, opaque, sample.image[area], 1 - opaque, 0)
    if sample.semantic is not None:
        sample.semantic[area] = SIGN
    if sample.drivable is not None:
        sample.drivable[area] = DRIVABLE.index("background")
    return boxes_from_rows([([left, top, left + width, top + height], LIGHT, False, state)])
