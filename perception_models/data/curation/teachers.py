"""Public detectors that label images: YOLOX (ONNX Runtime) and person-vehicle-bike-detection-2002 (OpenVINO).

Both are Apache-2.0. They label data and are not part of what is shipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from camera_perception.core.boxes import nms
from perception_models.data.curation.boxes import Box
from perception_models.data.files import DataError

MIN_SCORE = 0.15  # what all views score lower is background
MAX_IOU = 0.6
# COCO index: name. Everything else is no object of the road.
COCO_NAMES = {
    0: "person", 1: "bicycle", 2: "car", 3: "motorcycle", 5: "bus", 6: "train", 7: "truck", 9: "traffic light",
    10: "fire hydrant", 11: "stop sign",
}  # fmt: skip
# person-vehicle-bike-detection-2002 tells no vehicles apart.
COARSE_NAMES = ("vehicle", "person", "two-wheeler")


@dataclass(frozen=True, slots=True)
class Finding:
    """One object found in one view of an image.

    box    pixels of the whole image
    name   of COCO, or "vehicle" or "two-wheeler"
    score  0..1
    view   network and view, such as "yolox tiles"
    """

    box: Box
    name: str
    score: float
    view: str


class Teacher(Protocol):
    """A detector."""

    name: str
    tiles: bool  # whether it should also see the image in tiles

    def find(self, image: np.ndarray) -> list[tuple[Box, str, float]]:
        """Box, name and score of every object in (H, W, 3) uint8 BGR."""


class Yolox:
    """YOLOX with COCO's classes and a square input, such as yolox_nano.onnx."""

    name, tiles = "yolox", True

    def __init__(self, path: Path):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._side = int(self._session.get_inputs()[0].shape[2])

    def find(self, image: np.ndarray) -> list[tuple[Box, str, float]]:
        scale = self._side / max(image.shape[:2])
        canvas = np.full((self._side, self._side, 3), 114, np.uint8)
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=_interpolation(scale))
        small = small[: self._side, : self._side]
        canvas[: small.shape[0], : small.shape[1]] = small
        blob = canvas.transpose(2, 0, 1)[None].astype(np.float32)
        rows = self._session.run(None, {"images": blob})[0][0]
        return self._found(rows, scale)

    def _found(self, rows: np.ndarray, scale: float) -> list[tuple[Box, str, float]]:
        """Objects of the raw output (A, 85): centre and log size in cells, objectness, class scores."""
        numbers = np.array(list(COCO_NAMES))
        scores = rows[:, 4:5] * rows[:, 5 + numbers]
        best, score = scores.argmax(1), scores.max(1)
        kept = score > MIN_SCORE
        grid, stride = self._grid
        centre = (rows[kept, :2] + grid[kept]) * stride[kept]
        half = np.exp(rows[kept, 2:4]) * stride[kept] / 2
        boxes = np.concatenate([centre - half, centre + half], 1).astype(np.float32) / scale
        best, score = best[kept], score[kept]
        rows_kept = nms(boxes, score, best.astype(np.int32), MAX_IOU)
        return [(_tuple(boxes[i]), COCO_NAMES[int(numbers[best[i]])], float(score[i])) for i in rows_kept]

    @cached_property
    def _grid(self) -> tuple[np.ndarray, np.ndarray]:
        """(A, 2) cell of each row of the output, (A, 1) its stride."""
        cells, strides = [], []
        for stride in (8, 16, 32):
            count = self._side // stride
            v, u = np.mgrid[:count, :count]
            cells.append(np.stack([u.ravel(), v.ravel()], 1))
            strides.append(np.full((count * count, 1), stride))
        return np.concatenate(cells), np.concatenate(strides)


class PersonVehicleBike:
    """person-vehicle-bike-detection-2002 of the Open Model Zoo."""

    name, tiles = "pvb", False

    def __init__(self, path: Path):
        import openvino

        core: Any = openvino.Core()
        self._model = core.compile_model(str(path), "CPU", {"INFERENCE_NUM_THREADS": 1})
        self._side = int(self._model.input(0).shape[2])

    def find(self, image: np.ndarray) -> list[tuple[Box, str, float]]:
        blob = cv2.resize(image, (self._side, self._side)).transpose(2, 0, 1)[None].astype(np.float32)
        rows = next(iter(self._model(blob).values()))[0, 0]
        height, width = image.shape[:2]
        rows = rows[(rows[:, 0] >= 0) & (rows[:, 2] > MIN_SCORE)]
        sides = rows[:, 3:] * (width, height, width, height)
        return [(_tuple(box), COARSE_NAMES[int(row[1])], float(row[2])) for box, row in zip(sides, rows)]


def _tuple(box: np.ndarray) -> Box:
    x0, y0, x1, y1 = (float(side) for side in box)
    return x0, y0, x1, y1


def _interpolation(scale: float) -> int:
    return cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR


def load_teachers(folder: Path) -> list[Teacher]:
    """The detectors in a folder, which must hold both files."""
    files = folder / "yolox_nano.onnx", folder / "person-vehicle-bike-detection-2002.xml"
    if missing := [path.name for path in files if not path.is_file()]:
        raise DataError(f"{folder}: holds no {' and no '.join(missing)}; give the folder of the teachers")
    return [Yolox(files[0]), PersonVehicleBike(files[1])]
