"""Detection of what has to be covered in one image: the model's people and vehicles, and faces by OpenCV's cascades."""

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
from camera_perception.tools.privacy.regions import can_be_covered

# Trained by Intel and by OpenCV contributors, under OpenCV's licences; part of the opencv-python packages.
CASCADES = ("haarcascade_frontalface_alt2.xml", "haarcascade_profileface.xml")
MIN_FACE = 20  # pixels; smaller ones are detected in every bush
FACE_SCORE = 0.5


class PrivacyDetector:
    """The network of a model folder, with a low minimum score: a false detection costs less than a missed head.

    min_score  minimum detection score; heads with fixed lists of boxes return all they have
    faces      also detect faces without the network
    """

    def __init__(self, spec: ModelSpec, engine: Engine, min_score: float = 0.2, faces: bool = False) -> None:
        if not can_be_covered(spec.classes):
            classes = ", ".join(spec.classes) or "no objects"
            raise ModelError(f"model {spec.name} detects {classes}: choose one that detects people or vehicles")
        check_all(spec, {name: tensor.shape for name, tensor in engine.outputs.items()})
        self.spec, self._engine = spec, engine
        self.names, self.min_score = (*spec.classes, "face"), min_score
        self._thresholds = {"objects": min_score}
        self._preprocess = Preprocessor(spec.input)
        self._cascades = [_cascade(name) for name in CASCADES] if faces else []

    def __call__(self, image: np.ndarray) -> Detections:
        """(H, W, 3) uint8 BGR -> detections; classes are indices into `names`, light states are left out."""
        objects = self._network(image)
        faces = detect_faces(image, self._cascades)
        return Detections(
            np.concatenate((objects.boxes, faces)),
            np.concatenate((objects.scores, np.full(len(faces), FACE_SCORE, np.float32))),
            np.concatenate((objects.classes, np.full(len(faces), len(self.names) - 1, np.int32))),
            np.zeros((len(objects) + len(faces), 0), np.float32),
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


def detect_faces(image: np.ndarray, cascades: list[Any]) -> np.ndarray:
    """(N, 4) float32 x0 y0 x1 y1 of frontal and profile faces; Viola and Jones, CVPR 2001."""
    if not cascades:
        return np.zeros((0, 4), np.float32)
    gray = cv2.equalizeHist(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))
    min_size = (MIN_FACE, MIN_FACE)
    boxes = [box for cascade in cascades for box in cascade.detectMultiScale(gray, 1.1, 3, minSize=min_size)]
    corners = [(x, y, x + width, y + height) for x, y, width, height in boxes]
    return np.array(corners, np.float32).reshape(-1, 4)


def _cascade(name: str) -> Any:
    folder = getattr(getattr(cv2, "data", None), "haarcascades", "/usr/share/opencv4/haarcascades/")
    path = Path(folder) / name
    if not path.is_file():
        raise ModelError(f"{path} is missing: install opencv-python or opencv-data, or leave out --faces")
    return cv2.CascadeClassifier(str(path))
