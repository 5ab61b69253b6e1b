"""Public detectors as labelling teachers: what each finds in one view of an image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from camera_perception.core.boxes import nms
from perception_models.data.curation import public_networks
from perception_models.data.curation.boxes import Box
from perception_models.data.files import DataError
from perception_models.data.labels import OBJECTS

MIN_SCORE = 0.15  # what all views score lower is background
MAX_IOU = 0.6
# COCO index: name. Everything else is no object of the road.
COCO_NAMES = {
    0: "person", 1: "bicycle", 2: "car", 3: "motorcycle", 5: "bus", 6: "train", 7: "truck", 9: "traffic light",
    10: "fire hydrant", 11: "stop sign",
}  # fmt: skip


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
    """YOLOX-nano, on the whole image and in tiles."""

    name, tiles = "yolox", True

    def __init__(self, path: Path):
        self._network = public_networks.Yolox(path, list(COCO_NAMES))

    def find(self, image: np.ndarray) -> list[tuple[Box, str, float]]:
        boxes, scores, numbers = self._network(image, MIN_SCORE, enlarge=cv2.INTER_LINEAR)
        rows = nms(boxes, scores, numbers.astype(np.int32), MAX_IOU)
        return [(_tuple(boxes[row]), COCO_NAMES[int(numbers[row])], float(scores[row])) for row in rows]


class PersonVehicleBike:
    """person-vehicle-bike-detection-2002."""

    name, tiles = "pvb", False

    def __init__(self, path: Path):
        self._network = public_networks.PersonVehicleBike(path)

    def find(self, image: np.ndarray) -> list[tuple[Box, str, float]]:
        boxes, scores, names = self._network(image, MIN_SCORE)
        return [(_tuple(box), name, float(score)) for box, name, score in zip(boxes, names, scores)]


class ModelFolder:
    """Any model folder as a teacher: a larger size of ours, or a foreign network that was imported.

    Classes keep their names where they are among labels.OBJECTS; "pedestrian" and "rider" are both a person here: the
    bicycle below decides (rules.rides).
    """

    tiles = True

    def __init__(self, folder: Path, engine: str = "auto", threads: int = 1):
        from camera_perception.core.model_spec import load_spec
        from camera_perception.engines.select import load_engine
        from camera_perception.image.letterbox import Preprocessor

        self._spec = load_spec(folder)
        head = self._spec.head("objects")
        if head is None:
            raise DataError(f"{folder}: has no head for objects; give a detector as teacher")
        self.name, self._head = self._spec.name, replace(self._spec, heads=(head,))
        self._engine, self._preprocess = (
            load_engine(self._spec, engine, threads=threads),
            Preprocessor(self._spec.input),
        )

    def find(self, image: np.ndarray) -> list[tuple[Box, str, float]]:
        from camera_perception.decode.heads import decode_all

        slot = self._engine.acquire()
        try:
            letterbox = slot.load_image(image) or self._preprocess(image, slot.images[0])
            self._engine.submit(slot)
            self._engine.wait(slot)
            outputs = {name: array[0] for name, array in slot.outputs.items()}
            found = decode_all(outputs, self._head, letterbox, {"objects": MIN_SCORE}).detections
        finally:
            self._engine.release(slot)
        names = [PEOPLE.get(self._spec.classes[index], self._spec.classes[index]) for index in found.classes]
        each = zip(found.boxes, names, found.scores)
        return [(_tuple(box), name, float(score)) for box, name, score in each if name in TAUGHT]


PEOPLE = {"pedestrian": "person", "rider": "person"}
TAUGHT = {*COCO_NAMES.values(), *OBJECTS}


def _tuple(box: np.ndarray) -> Box:
    x0, y0, x1, y1 = (float(side) for side in box)
    return x0, y0, x1, y1


def load_teachers(folder: Path) -> list[Teacher]:
    """The detectors in a folder, which must hold both files."""
    files = folder / "yolox_nano.onnx", folder / "person-vehicle-bike-detection-2002.xml"
    if missing := [path.name for path in files if not path.is_file()]:
        raise DataError(f"{folder}: holds no {' and no '.join(missing)}; give the folder of the teachers")
    return [Yolox(files[0]), PersonVehicleBike(files[1])]
