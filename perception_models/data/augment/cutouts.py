"""Cut-outs of real objects: RGBA images with an index, as written by `perception-models cutouts`."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import numpy as np

from camera_perception.core.errors import BadImage
from camera_perception.image.files import read_file
from perception_models.data.files import DataError, malformed_as_data_error, read_json
from perception_models.data.labels import OBJECTS

INDEX = "index.json"
FURNITURE = "furniture"  # category of cut-outs without a labelled object
KEPT_BYTES = 150_000_000  # decoded images that a process keeps
MIN_LEVEL = 24  # pixels: height of the smallest prepared copy


@dataclass(frozen=True)
class Part:
    """One labelled object of a cut-out; a rider comes with a bicycle or motorcycle.

    box  x0 y0 x1 y1, pixels of the cut-out
    """

    category: str
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Cutout:
    """One entry of the index.

    file        name of the RGBA image; its edges are those of the object
    size        width and height of that image, pixels
    parts       the labelled objects, the main one first; none: background that looks like an object
    height      pixels of the object in the source image
    truncated   sides at which the source image cuts it: left, right, bottom
    surround    mean B G R around the object in the source image, 0..255
    brightness  mean luma of the object, 0..255
    method      how it was cut: polygon, matting, grabcut
    source      image it was cut from; author, url and licence credit it
    metres      height of the real thing; 0: that of its category
    """

    file: str
    size: tuple[int, int]
    parts: tuple[Part, ...]
    height: float
    truncated: tuple[str, ...]
    surround: tuple[float, float, float]
    brightness: float
    method: str
    source: str
    author: str = ""
    url: str = ""
    licence: str = ""
    metres: float = 0.0

    @property
    def category(self) -> str:
        return self.parts[0].category if self.parts else FURNITURE


@dataclass
class CutoutStore:
    """The cut-outs of a folder, with their images in a memory of bounded size.

    drawn  images that are in no file, (h, w, 4) uint8 BGRA by name
    """

    folder: Path
    cutouts: tuple[Cutout, ...]
    drawn: dict[str, np.ndarray] = field(default_factory=dict)
    _kept: OrderedDict[str, list[np.ndarray]] = field(default_factory=OrderedDict)
    _bytes: int = 0

    @staticmethod
    def open(folder: Path | str) -> CutoutStore:
        """DataError if the folder has no cut-outs."""
        folder = Path(folder)
        cutouts = read_index(folder)
        if missing := [c.file for c in cutouts if not (folder / c.file).is_file()]:
            raise DataError(f"{folder / missing[0]}: in the index but missing; run perception-models cutouts again")
        return CutoutStore(folder, cutouts)

    def pixels(self, cutout: Cutout, scale: float) -> np.ndarray:
        """(h, w, 4) uint8 BGRA of a cut-out at `scale` of its own size."""
        levels = self._levels(cutout)
        height, width = (max(round(edge * scale), 2) for edge in levels[0].shape[:2])
        level = max((n for n in range(len(levels)) if levels[n].shape[0] >= height), default=0)
        method = cv2.INTER_AREA if height < levels[level].shape[0] else cv2.INTER_LINEAR
        return cv2.resize(levels[level], (width, height), interpolation=method)

    def _levels(self, cutout: Cutout) -> list[np.ndarray]:
        """The image and its halvings, from memory or from the file."""
        if cutout.file in self._kept:
            self._kept.move_to_end(cutout.file)
            return self._kept[cutout.file]
        drawn = self.drawn.get(cutout.file)
        levels = halvings(_read(self.folder / cutout.file) if drawn is None else drawn)
        self._kept[cutout.file] = levels
        self._bytes += sum(level.nbytes for level in levels)
        while self._bytes > KEPT_BYTES and len(self._kept) > 1:
            self._bytes -= sum(level.nbytes for level in self._kept.popitem(last=False)[1])
        return levels


def halvings(image: np.ndarray) -> list[np.ndarray]:
    """An image and its copies of half, a quarter, ... of the size, down to MIN_LEVEL pixels in height."""
    levels = [image]
    while levels[-1].shape[0] >= 2 * MIN_LEVEL and levels[-1].shape[1] >= 4:
        height, width = levels[-1].shape[:2]
        levels.append(cv2.resize(levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA))
    return levels


def _read(path: Path) -> np.ndarray:
    try:
        image = read_file(path, cv2.IMREAD_UNCHANGED)
    except BadImage as error:
        raise DataError(f"{path}: not an image with alpha ({error}); run perception-models cutouts again") from error
    if image.ndim != 3 or image.shape[2] != 4:
        raise DataError(f"{path}: not an image with alpha; run perception-models cutouts again")
    return image


def read_index(folder: Path) -> tuple[Cutout, ...]:
    """DataError if there is no index, or an empty one."""
    path = folder / INDEX
    if not path.is_file():
        raise DataError(f"{path}: no such file; make cut-outs with perception-models cutouts --out {folder}")
    with malformed_as_data_error(path):
        cutouts = tuple(_cutout(row) for row in read_json(path)["cutouts"])
    if not cutouts:
        raise DataError(f"{path}: holds no cut-outs; run perception-models cutouts with other images")
    return cutouts


def _cutout(row: dict) -> Cutout:  # type: ignore[type-arg]
    parts = tuple(Part(part["category"], tuple(part["box"])) for part in row["parts"])
    if unknown := {part.category for part in parts} - set(OBJECTS):
        raise DataError(f"unknown categories {sorted(unknown)} in the index: expected some of {', '.join(OBJECTS)}")
    values = {**row, "parts": parts, **{name: tuple(row[name]) for name in ("size", "truncated", "surround")}}
    return Cutout(**values)


def write_index(folder: Path, cutouts: Sequence[Cutout]) -> None:
    rows = [asdict(cutout) for cutout in cutouts]
    (folder / INDEX).write_text(json.dumps({"cutouts": rows}, indent=1), "utf-8")
