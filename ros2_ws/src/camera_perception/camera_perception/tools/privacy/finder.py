"""Finds what has to be covered in one image: the model's people and vehicles, and faces by OpenCV's cascades."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from camera_perception.core.errors import ModelError
from camera_perception.core.model_spec import ModelSpec
from camera_perception.core.types import Detections
from camera_perception.decode.heads import check_all, decode_all
from camera_perception.engines import Engine
from camera_perception.image.letterbox import Preprocessor
from camera_perception.tools.privacy.regions import hides

# Trained by Intel and by volunteers of OpenCV, under its licences; they come with the opencv-python packages.
CASCADES = ("haarcascade_frontalface_alt2.xml", "haarcascade_profileface.xml")
SMALLEST_FACE = 20  # pixels; smaller ones are found in every bush
FACE_SCORE = 0.5


class Finder:
    """The network of one model folder, at a score low enough that a wrong find costs less than a missed head.

    least  score from which on a find counts; heads with fixed lists of boxes give what they have
    faces  also look for faces without the network
    """

    def __init__(self, spec: ModelSpec, engine: Engine, least: float = 0.2, faces: bool = False) -> None:
        if not hides(spec.classes):
            found = ", ".join(spec.classes) or "no objects"
            raise ModelError(f"model {spec.name} finds {found}: choose one that finds people or vehicles")
        check_all(spec, {name: tensor.shape for name, tensor in engine.outputs.items()})
        self.spec, self._engine = spec, engine
        self.names, self.least = (*spec.classes, "face"), least
        self._thresholds = {"objects": least}
        self._preprocess = Preprocessor(spec.input)
        self._cascades = [_cascade(name) for name in CASCADES] if faces else []

    def __call__(self, image: np.ndarray) -> Detections:
        """(H, W, 3) uint8 BGR -> what was found; classes count in `names`, light states are left out."""
        seen = self._network(image)
        faces = find_faces(image, self._cascades)
        return Detections(
            np.concatenate((seen.boxes, faces)),
            np.concatenate((seen.scores, np.full(len(faces), FACE_SCORE, np.float32))),
            np.concatenate((seen.classes, np.full(len(faces), len(self.names) - 1, np.int32))),
            np.zeros((len(seen) + len(faces), 0), np.float32),
        )

    def close(self) -> None:
        self._engine.close()

    def _network(self, image: np.ndarray) -> Detections:
        slot = self._engine.acquire()
        try:
            letterbox = self._preprocess(image, slot.images[0])
            self._engine.submit(slot)
            self._engine.wait(slot)
            outputs = {name: array[0] for name, array in slot.outputs.items()}
            return decode_all(outputs, self.spec, letterbox, self._thresholds).detections
        finally:
            self._engine.release(slot)


def find_faces(image: np.ndarray, cascades: list[Any]) -> np.ndarray:
    """(N, 4) float32 x0 y0 x1 y1 of faces that look at the camera or past it; Viola and Jones, CVPR 2001."""
    if not cascades:
        return np.zeros((0, 4), np.float32)
    gray = cv2.equalizeHist(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))
    least = (SMALLEST_FACE, SMALLEST_FACE)
    found = [box for cascade in cascades for box in cascade.detectMultiScale(gray, 1.1, 3, minSize=least)]
    corners = [(x, y, x + width, y + height) for x, y, width, height in found]
    return np.array(corners, np.float32).reshape(-1, 4)


def _cascade(name: str) -> Any:
    folder = getattr(getattr(cv2, "data", None), "haarcascades", "/usr/share/opencv4/haarcascades/")
    path = Path(folder) / name
    if not path.is_file():
        raise ModelError(f"{path} is missing: install opencv-python or opencv-data, or leave out --faces")
    return cv2.CascadeClassifier(str(path))
