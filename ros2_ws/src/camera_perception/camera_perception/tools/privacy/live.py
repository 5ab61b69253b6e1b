"""Covering while recording: past detections are predicted forwards, later ones are not known yet."""

from __future__ import annotations

from camera_perception.core.errors import BadImage
from camera_perception.io.ros_types import COMPRESSED_IMAGE, IMAGE
from camera_perception.tools.privacy.detector import Detector, open_detector
from camera_perception.tools.privacy.recorded_image import read
from camera_perception.tools.privacy.regions import Settings
from camera_perception.tools.privacy.temporal import BoxPredictor, ImageDetections, regions_of


class LiveCover:
    """Used by one thread, with the images of each topic in their order."""

    def __init__(self, detector: Detector, settings: Settings | None = None) -> None:
        self._detector, self._settings = detector, settings or Settings()
        self._predictors: dict[str, BoxPredictor] = {}
        self.left_out = 0  # images that could not be decoded

    def __call__(self, topic: str, kind: str, data: bytes) -> bytes | None:
        """A serialised message as it may be recorded; None for an image that cannot be decoded."""
        if kind not in (IMAGE, COMPRESSED_IMAGE):
            return data
        recorded = read(kind, data)
        try:
            pixels = recorded.pixels()
        except BadImage:
            self.left_out += 1
            return None
        names = self._detector.names
        image = ImageDetections(recorded.stamp_ns, pixels.shape[:2], self._detector(pixels))
        predictor = self._predictors.setdefault(topic, BoxPredictor(names, self._settings.hold))
        regions = regions_of(image, [predictor.update(image)], names, self._settings)
        return recorded.covered(regions, self._settings) if regions else data

    def close(self) -> None:
        self._detector.close()


def open_live_cover(folder: str, threads: int = 0) -> LiveCover:
    """Covering with the model of a folder. raises ModelError or EngineError"""
    return LiveCover(open_detector([folder], threads=threads))
