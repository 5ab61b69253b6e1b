"""Detection of what has to be covered in one image: people and vehicles by one or more models, faces by OpenCV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from camera_perception.core.boxes import nms
from camera_perception.core.errors import ModelError, some_of
from camera_perception.core.model_spec import ModelSpec, load_spec
from camera_perception.core.types import Detections
from camera_perception.decode.heads import check_all, decode_all
from camera_perception.engines import Engine
from camera_perception.engines.serving.fitting import fitted, load_fitting
from camera_perception.image.letterbox import Preprocessor
from camera_perception.tools.privacy.regions import can_be_covered, content_of
from camera_perception.tools.privacy.tiles import is_whole, tiles

# Trained by Intel and by OpenCV contributors, under OpenCV's licences; part of the opencv-python packages.
CASCADES = ("haarcascade_frontalface_alt2.xml", "haarcascade_profileface.xml")
MIN_FACE = 20  # pixels; smaller ones are detected in every bush
FACE_SCORE = 0.5
SAME_OBJECT = 0.7  # IoU of two detections of one object


class PrivacyDetector:
    """The network of a model folder, with a low minimum score: a false detection costs less than a missed head.

    min_score  minimum detection score; heads with fixed lists of boxes return all they have
    faces      also detect faces without the network
    in_tiles   also look at overlapping parts of the image, enlarged
    """

    def __init__(
        self, spec: ModelSpec, engine: Engine, min_score: float = 0.2, faces: bool = False, in_tiles: bool = False
    ) -> None:
        if not can_be_covered(spec.classes):
            classes = some_of(spec.classes) or "no objects"
            raise ModelError(f"model {spec.name} detects {classes}: choose one that detects people or vehicles")
        check_all(spec, {name: tensor.shape for name, tensor in engine.outputs.items()})
        self.specs: tuple[ModelSpec, ...] = (spec,)
        self.spec, self._engine, self.in_tiles = spec, engine, in_tiles
        self.names, self.min_score = (*spec.classes, "face"), min_score
        self._thresholds = {"objects": min_score}
        self._preprocess = Preprocessor(spec.input)
        self._cascades = [cascade(name) for name in CASCADES] if faces else []

    def __call__(self, image: np.ndarray) -> Detections:
        """(H, W, 3) uint8 BGR -> detections; classes are indices into `names`, light states are left out."""
        objects = self._in_tiles(image) if self.in_tiles else self._network(image)
        faces = detect_faces(image, self._cascades)
        return Detections(
            np.concatenate((objects.boxes, faces)),
            np.concatenate((objects.scores, np.full(len(faces), FACE_SCORE, np.float32))),
            np.concatenate((objects.classes, np.full(len(faces), len(self.names) - 1, np.int32))),
            np.zeros((len(objects) + len(faces), 0), np.float32),
        )

    def close(self) -> None:
        self._engine.close()

    def _in_tiles(self, image: np.ndarray) -> Detections:
        """Objects of the whole image and of its tiles, each once."""
        size, parts = image.shape[:2], [self._network(image)]
        for rows, columns in tiles(size, self.spec.input.size):
            found = self._network(np.ascontiguousarray(image[rows, columns]))
            found = found[is_whole(found.boxes, rows, columns, size)]
            offset = np.array((columns.start, rows.start) * 2, np.float32)
            parts.append(Detections(found.boxes + offset, found.scores, found.classes, found.light_states))
        return without_duplicates(parts, self.names)

    def _network(self, image: np.ndarray) -> Detections:
        self._preprocess = fitted(self._preprocess, self._engine, image.shape[:2])
        slot = self._engine.acquire()
        try:
            letterbox = self._preprocess(image, slot.images[0])
            self._engine.submit(slot)
            self._engine.wait(slot)
            outputs = {name: array[0] for name, array in slot.outputs.items()}
            return decode_all(outputs, self.spec, letterbox, self._thresholds).detections
        finally:
            self._engine.release(slot)


class UnitedDetector:
    """Several detectors on the same images: what any of them detects is covered."""

    def __init__(self, detectors: Sequence[PrivacyDetector]) -> None:
        self._detectors = tuple(detectors)
        self.specs = tuple(each.spec for each in detectors)
        self.names = tuple(dict.fromkeys(name for each in detectors for name in each.names))
        self.min_score = detectors[0].min_score
        self.in_tiles = any(each.in_tiles for each in detectors)

    def __call__(self, image: np.ndarray) -> Detections:
        """(H, W, 3) uint8 BGR -> detections of all, each object once; classes are indices into `names`."""
        return without_duplicates([self._renamed(each, each(image)) for each in self._detectors], self.names)

    def close(self) -> None:
        for each in self._detectors:
            each.close()

    def _renamed(self, detector: PrivacyDetector, found: Detections) -> Detections:
        table = np.array([self.names.index(name) for name in detector.names], np.int32)
        return Detections(found.boxes, found.scores, table[found.classes], found.light_states)


Detector = PrivacyDetector | UnitedDetector


def open_detector(
    folders: Sequence[Path | str],
    min_score: float = 0.2,
    faces: bool = False,
    in_tiles: bool = False,
    backend: str = "auto",
    threads: int = 0,
) -> Detector:
    """The models of these folders as one detector; the first also looks for faces. raises ModelError, EngineError"""
    opened: list[PrivacyDetector] = []
    try:
        for number, folder in enumerate(folders):
            spec = load_spec(folder)
            engine = load_fitting(spec, backend, threads=threads)
            opened.append(_detector_or_close(spec, engine, min_score, faces and not number, in_tiles))
    except Exception:
        for each in opened:
            each.close()
        raise
    return opened[0] if len(opened) == 1 else UnitedDetector(opened)


def _detector_or_close(spec: ModelSpec, engine: Engine, *settings: Any) -> PrivacyDetector:
    try:
        return PrivacyDetector(spec, engine, *settings)
    except ModelError:
        engine.close()
        raise


def without_duplicates(parts: Sequence[Detections], names: Sequence[str]) -> Detections:
    """All detections, without those on a better one that is covered in the same way; light states are left out."""
    boxes = np.concatenate([part.boxes for part in parts])
    scores, classes = (np.concatenate([getattr(part, name) for part in parts]) for name in ("scores", "classes"))
    kinds = [content_of(name) for name in names]
    group = np.array([kinds.index(kind) for kind in kinds])
    rows = nms(boxes, scores, group[classes], SAME_OBJECT)
    return Detections(boxes[rows], scores[rows], classes[rows], np.zeros((len(rows), 0), np.float32))


def detect_faces(image: np.ndarray, cascades: list[Any]) -> np.ndarray:
    """(N, 4) float32 x0 y0 x1 y1 of frontal and profile faces; Viola and Jones, CVPR 2001."""
    if not cascades:
        return np.zeros((0, 4), np.float32)
    gray = cv2.equalizeHist(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))
    min_size = (MIN_FACE, MIN_FACE)
    boxes = [box for cascade in cascades for box in cascade.detectMultiScale(gray, 1.1, 3, minSize=min_size)]
    corners = [(x, y, x + width, y + height) for x, y, width, height in boxes]
    return np.array(corners, np.float32).reshape(-1, 4)


def cascade(name: str) -> Any:
    """A face detector of OpenCV by the name of its file; ModelError where it is not installed."""
    folder = getattr(getattr(cv2, "data", None), "haarcascades", "/usr/share/opencv4/haarcascades/")
    path = Path(folder) / name
    if not path.is_file():
        raise ModelError(f"{path} is missing: install opencv-python or opencv-data, or leave out --faces")
    return cv2.CascadeClassifier(str(path))
