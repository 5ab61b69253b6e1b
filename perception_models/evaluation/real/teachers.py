"""Public networks as yardsticks, all Apache-2.0: YOLOX-nano and two of the Open Model Zoo.

They measure and label; they are not shipped. Files and their input formats: README of ../shared/data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from camera_perception.decode.yolox import STRIDES, anchor_grid
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
COARSE = ("vehicle", "person", "two-wheeler")  # all that person-vehicle-bike-detection-2002 tells apart
OVERLAP = 0.25  # of neighbouring tiles
CUT = 4  # pixels: a box that ends this near an inner side of a tile is cut there; another view has it whole
NO_OBJECTS = np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)


def load_teachers(folder: Path) -> dict[str, Network]:
    """The networks whose files are in the folder, by column title."""
    makers: dict[str, Callable[[Path], Network]] = {
        TILES: Tiles,
        WHOLE: Yolox,
        VEHICLES: PersonVehicleBike,
        ROAD: RoadSegmentation,
    }
    return {name: make(folder / FILES[name]) for name, make in makers.items() if (folder / FILES[name]).is_file()}


def cache_key(folder: Path, name: str) -> str:
    """Name of the folder of kept outputs: changes with the network's weights."""
    path = folder / FILES[name]
    weights = path.with_suffix(".bin") if path.suffix == ".xml" else path
    return f"{name.lower().replace(', ', '-').replace(' ', '-')}-{sha256(weights.read_bytes()).hexdigest()[:12]}"


class Yolox:
    """YOLOX with the classes of COCO and a square input."""

    def __init__(self, path: Path):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._side = int(self._session.get_inputs()[0].shape[2])

    def __call__(self, image: np.ndarray) -> Output:
        return objects_only(*self.find(image))

    def find(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Boxes (N, 4) in pixels of a (H, W, 3) uint8 BGR image, scores and names, without suppression."""
        scale = self._side / max(image.shape[:2])
        size = round(image.shape[1] * scale), round(image.shape[0] * scale)
        canvas = np.full((self._side, self._side, 3), 114, np.uint8)
        canvas[: size[1], : size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        rows = self._session.run(None, {"images": canvas.transpose(2, 0, 1)[None].astype(np.float32)})[0][0]
        numbers = np.array(list(COCO))
        scores = rows[:, 4:5] * rows[:, 5 + numbers]
        kept = scores.max(1) > MIN_SCORE
        grid = anchor_grid((self._side, self._side), STRIDES)[kept]
        centre, half = (rows[kept, :2] + grid[:, :2]) * grid[:, 2:], np.exp(rows[kept, 2:4]) * grid[:, 2:] / 2
        boxes = np.concatenate([centre - half, centre + half], 1).astype(np.float32) / scale
        boxes = boxes.clip(0, _sides(image))
        return boxes, scores[kept].max(1), [COCO[int(numbers[i])] for i in scores[kept].argmax(1)]


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
        self._model = _compiled(path)
        self._size = self._model.input(0).shape[3], self._model.input(0).shape[2]

    def __call__(self, image: np.ndarray) -> Output:
        blob = cv2.resize(image, self._size).transpose(2, 0, 1)[None].astype(np.float32)
        rows = next(iter(self._model(blob).values()))[0, 0]
        rows = rows[(rows[:, 0] >= 0) & (rows[:, 2] > MIN_SCORE)]
        return objects_only(rows[:, 3:] * _sides(image), rows[:, 2], [COARSE[int(number)] for number in rows[:, 1]])


class RoadSegmentation:
    """road-segmentation-adas-0001 of the Open Model Zoo; road and marking are drivable, curb and background are not."""

    def __init__(self, path: Path):
        self._model = _compiled(path)
        self._size = self._model.input(0).shape[3], self._model.input(0).shape[2]

    def __call__(self, image: np.ndarray) -> Output:
        blob = cv2.resize(image, self._size).transpose(2, 0, 1)[None].astype(np.float32)
        classes = next(iter(self._model(blob).values()))[0].argmax(0)
        return Output(*NO_OBJECTS, road=np.isin(classes, (1, 3)).astype(np.uint8)[::2, ::2])


def _compiled(path: Path) -> Any:
    import openvino

    return openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_NUM_THREADS": 1})


def _sides(image: np.ndarray) -> tuple[int, int, int, int]:
    return image.shape[1], image.shape[0], image.shape[1], image.shape[0]
