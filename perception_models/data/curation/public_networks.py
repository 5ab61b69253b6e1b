"""Public networks, raw: YOLOX (ONNX Runtime) and two of the Open Model Zoo (OpenVINO). All are Apache-2.0.

They label data and serve as yardsticks; they are not part of what is shipped. Files and their input formats: README of
../shared/data.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from camera_perception.decode.detectors.yolox import STRIDES, anchor_grid

# What person-vehicle-bike-detection-2002 tells apart.
COARSE_NAMES = ("vehicle", "person", "two-wheeler")


class Yolox:
    """YOLOX with COCO's classes and a square input, such as yolox_nano.onnx.

    classes  COCO indices to look for; all others are background
    """

    def __init__(self, path: Path, classes: Sequence[int]):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._side = int(self._session.get_inputs()[0].shape[2])
        self._classes = np.array(classes)

    def __call__(
        self, image: np.ndarray, min_score: float, enlarge: int = cv2.INTER_AREA
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Boxes (N, 4) float32 in pixels of a (H, W, 3) uint8 BGR image, scores, COCO indices; without suppression.

        enlarge  OpenCV interpolation of images smaller than the input
        """
        scale = self._side / max(image.shape[:2])
        size = round(image.shape[1] * scale), round(image.shape[0] * scale)
        canvas = np.full((self._side, self._side, 3), 114, np.uint8)
        canvas[: size[1], : size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else enlarge)
        rows = self._session.run(None, {"images": canvas.transpose(2, 0, 1)[None].astype(np.float32)})[0][0]
        scores = rows[:, 4:5] * rows[:, 5 + self._classes]
        kept = scores.max(1) > min_score
        grid = anchor_grid((self._side, self._side), STRIDES)[kept]
        centre, half = (rows[kept, :2] + grid[:, :2]) * grid[:, 2:], np.exp(rows[kept, 2:4]) * grid[:, 2:] / 2
        boxes = np.concatenate([centre - half, centre + half], 1).astype(np.float32) / scale
        return boxes, scores[kept].max(1), self._classes[scores[kept].argmax(1)]


class PersonVehicleBike:
    """person-vehicle-bike-detection-2002."""

    def __init__(self, path: Path):
        self._model, self._size = compiled(path)

    def __call__(self, image: np.ndarray, min_score: float) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Boxes (N, 4) in pixels of a (H, W, 3) uint8 BGR image, scores, names of COARSE_NAMES."""
        rows = next(iter(self._model(blob(image, self._size)).values()))[0, 0]
        rows = rows[(rows[:, 0] >= 0) & (rows[:, 2] > min_score)]
        height, width = image.shape[:2]
        boxes = rows[:, 3:] * (width, height, width, height)
        return boxes, rows[:, 2], [COARSE_NAMES[int(number)] for number in rows[:, 1]]


class RoadSegmentation:
    """road-segmentation-adas-0001: background, road, curb, marking."""

    def __init__(self, path: Path):
        self._model, self._size = compiled(path)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """(4, h, w) float32 probabilities at the size of the network, of a (H, W, 3) uint8 BGR image."""
        return np.asarray(next(iter(self._model(blob(image, self._size)).values()))[0])


def compiled(path: Path) -> tuple[Any, tuple[int, int]]:
    """An OpenVINO network on one CPU thread, and the width and height of its input."""
    from camera_perception.engines.openvino import without_telemetry

    without_telemetry()
    import openvino

    core: Any = openvino.Core()
    model = core.compile_model(str(path), "CPU", {"INFERENCE_NUM_THREADS": 1})
    height, width = model.input(0).shape[2:]
    return model, (int(width), int(height))


def blob(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(1, 3, h, w) float32 of a (H, W, 3) uint8 image, resized to (width, height)."""
    return cv2.resize(image, size).transpose(2, 0, 1)[None].astype(np.float32)
