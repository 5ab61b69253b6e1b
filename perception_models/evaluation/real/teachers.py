"""Public networks as yardsticks: YOLOX-nano on the whole image and in tiles, and two of the Open Model Zoo."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np

from perception_models.data.curation import public_networks
from perception_models.evaluation.real.output import Network, Output, objects_only

TILES, WHOLE, VEHICLES, ROAD = "YOLOX-nano, tiles", "YOLOX-nano", "person-vehicle-bike-2002", "road-segmentation-0001"
FILES = {
    TILES: "yolox_nano.onnx",
    WHOLE: "yolox_nano.onnx",
    VEHICLES: "person-vehicle-bike-detection-2002.xml",
    ROAD: "road-segmentation-adas-0001.xml",
}
MIN_SCORE = 0.02
# COCO index: name. Everything else is no object of the road.
COCO = {0: "person", 2: "car", 5: "bus", 6: "train", 7: "truck", 9: "traffic light"}
OVERLAP = 0.25  # of neighbouring tiles
CUT = 4  # pixels: a box that ends this near an inner side of a tile is cut there; another view has it whole
NO_OBJECTS = np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)


def load_teachers(folder: Path, columns: Collection[str] = tuple(FILES)) -> dict[str, Network]:
    """Those of these networks whose files are in the folder, by column title."""
    makers: dict[str, Callable[[Path], Network]] = {
        TILES: Tiles,
        WHOLE: Yolox,
        VEHICLES: PersonVehicleBike,
        ROAD: RoadSegmentation,
    }
    return {
        name: make(folder / FILES[name])
        for name, make in makers.items()
        if name in columns and (folder / FILES[name]).is_file()
    }


def cache_key(folder: Path, name: str) -> str:
    """Name of the folder of kept outputs: changes with the network's weights."""
    path = folder / FILES[name]
    weights = path.with_suffix(".bin") if path.suffix == ".xml" else path
    return f"{name.lower().replace(', ', '-').replace(' ', '-')}-{sha256(weights.read_bytes()).hexdigest()[:12]}"


class Yolox:
    """YOLOX on the whole image."""

    def __init__(self, path: Path):
        self._network = public_networks.Yolox(path, list(COCO))

    def __call__(self, image: np.ndarray) -> Output:
        return objects_only(*self.find(image))

    def find(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Boxes (N, 4) in pixels of a (H, W, 3) uint8 BGR image, scores and names, without suppression."""
        boxes, scores, numbers = self._network(image, MIN_SCORE)
        height, width = image.shape[:2]
        return boxes.clip(0, (width, height, width, height)), scores, [COCO[int(number)] for number in numbers]


class Tiles:
    """YOLOX on the whole picture and on overlapping square tiles of two thirds of its height (2 rows) around it."""

    def __init__(self, path: Path):
        self._yolox = Yolox(path)

    def __call__(self, image: np.ndarray) -> Output:
        boxes, scores, names = self._yolox.find(image)
        parts = [(boxes, scores, names)]
        for left, top, side in tiles(image.shape[0], image.shape[1]):
            found, score, name = self._yolox.find(image[top : top + side, left : left + side])
            whole = _uncut(found, left, top, side, (image.shape[0], image.shape[1]))
            parts.append(
                (found[whole] + (left, top, left, top), score[whole], [name[i] for i in np.flatnonzero(whole)])
            )
        return objects_only(
            np.concatenate([p[0] for p in parts]),
            np.concatenate([p[1] for p in parts]),
            [name for part in parts for name in part[2]],
        )


def tiles(height: int, width: int) -> Iterator[tuple[int, int, int]]:
    """Left, top and side of overlapping squares that cover an image; the side is two thirds of the height."""
    side = min(round(height * 2 / 3), width)
    for top in _starts(height, side):
        for left in _starts(width, side):
            yield left, top, side


def _starts(length: int, side: int) -> list[int]:
    count = int(np.ceil((length - side) / (side * (1 - OVERLAP)))) + 1
    return [round(start) for start in np.linspace(0, length - side, count)]


def _uncut(boxes: np.ndarray, left: int, top: int, side: int, size: tuple[int, int]) -> np.ndarray:
    """(N,) which boxes of a tile do not end at a side of it that is inside the image."""
    inner = np.array([left > 0, top > 0, left + side < size[1], top + side < size[0]])
    at_side = np.concatenate([boxes[:, :2] < CUT, boxes[:, 2:] > side - CUT], 1)
    return np.asarray(~(at_side & inner).any(1))


class PersonVehicleBike:
    """person-vehicle-bike-detection-2002 of the Open Model Zoo."""

    def __init__(self, path: Path):
        self._network = public_networks.PersonVehicleBike(path)

    def __call__(self, image: np.ndarray) -> Output:
        return objects_only(*self._network(image, MIN_SCORE))


class RoadSegmentation:
    """road-segmentation-adas-0001 of the Open Model Zoo; road and marking are drivable, curb and background are not."""

    def __init__(self, path: Path):
        self._network = public_networks.RoadSegmentation(path)

    def __call__(self, image: np.ndarray) -> Output:
        classes = self._network(image).argmax(0)
        return Output(*NO_OBJECTS, road=np.isin(classes, (1, 3)).astype(np.uint8)[::2, ::2])
