"""Masks of people by the pose network of MediaPipe (Apache-2.0), which also says where their joints are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from perception_models.data.curation.boxes import Box
from perception_models.data.curation.cutouts.masks import largest_part
from perception_models.data.files import DataError

FILE = "pose_landmark_full.tflite"
INPUT = 256
VIEWS = ((1.15, False), (1.35, True), (1.6, False))  # size of the square, fraction of the box; mirrored
MIN_LEG = 0.37  # from hips to ankles, fraction of the box; about 0.5 for a standing person
HIPS, ANKLES = (23, 24), (27, 28)


@dataclass(frozen=True)
class Person:
    """A person found in a box.

    mask       (H, W) uint8 0 or 1
    agreement  mean IoU of the views with their mean, 0..1
    standing   whether an ankle is visible, clearly below the hips
    """

    mask: np.ndarray
    agreement: float
    standing: bool


class PersonMatting:
    """The pose network in OpenVINO."""

    def __init__(self, path: Path):
        if not path.is_file():
            raise DataError(
                f"{path}: no such file; unzip it from the wheel of mediapipe 0.10.14 "
                "(pip download --no-deps mediapipe==0.10.14)"
            )
        from camera_perception.engines.openvino import without_telemetry

        without_telemetry()
        import openvino

        core = openvino.Core()
        self._network: Any = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_NUM_THREADS": 1})

    def find(self, image: np.ndarray, box: Box) -> Person:
        """The person in a box of (H, W, 3) uint8 BGR."""
        views = [self._view(image, box, *view) for view in VIEWS]
        inside = np.zeros(image.shape[:2], bool)
        inside[max(int(box[1] - 2), 0) : int(box[3] + 3), max(int(box[0] - 2), 0) : int(box[2] + 3)] = True
        probability = np.mean([view[0] for view in views], 0)
        mask = largest_part(((probability > 0.5) & inside).astype(np.uint8)) > 0
        overlaps = [_overlap((view[0] > 0.5) & inside, mask) for view in views]
        joints = views[0][1]
        leg = (joints[ANKLES, 1].mean() - joints[HIPS, 1].mean()) / max(box[3] - box[1], 1)
        standing = bool(joints[ANKLES, 2].max() > 0.5 and leg > MIN_LEG)
        return Person(mask.astype(np.uint8), float(np.mean(overlaps)), standing)

    def _view(self, image: np.ndarray, box: Box, grow: float, mirrored: bool) -> tuple[np.ndarray, np.ndarray]:
        """(H, W) probability and (39, 3) u, v, visibility, in pixels of the image."""
        view_from_image = square_view(box, grow)
        crop = cv2.warpAffine(image, view_from_image, (INPUT, INPUT), borderMode=cv2.BORDER_REPLICATE)
        crop = crop[:, ::-1] if mirrored else crop
        out = self._network(np.ascontiguousarray(crop[None, ..., ::-1]).astype(np.float32) / 255)
        logits, joints = out["Identity_2"][0, ..., 0], out["Identity"].reshape(39, 5)
        probability = _sigmoid(logits[:, ::-1] if mirrored else logits)
        back = cv2.invertAffineTransform(view_from_image)
        points = joints[:, :2] @ back[:, :2].T + back[:, 2]
        size = image.shape[1], image.shape[0]
        warped = cv2.warpAffine(np.ascontiguousarray(probability), back, size)
        return warped, np.c_[points, _sigmoid(joints[:, 3])]


def square_view(box: Box, grow: float) -> np.ndarray:
    """(2, 3) input_from_image of the square around a box."""
    side = grow * max(box[2] - box[0], box[3] - box[1], 1)
    scale = INPUT / side
    u, v = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return np.array([[scale, 0, INPUT / 2 - u * scale], [0, scale, INPUT / 2 - v * scale]])


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -30, 30))), np.float32)


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))
