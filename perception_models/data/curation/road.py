"""Drivable masks of real images by day, from road-segmentation-adas-0001 (Open Model Zoo, Apache-2.0)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from perception_models.data.curation.boxes import Box
from perception_models.data.curation.public_networks import RoadSegmentation
from perception_models.data.files import DataError
from perception_models.data.labels import DRIVABLE, IGNORE

CLASSES = ("background", "road", "curb", "marking")
SURE = 0.9  # probability
AGREED = 0.5  # probability of road where a second network says road as well
EDGE = 9  # pixels around the edge of the road that stay unlabelled
MIN_BRIGHTNESS = 70  # mean grey level: at night the network finds only parts of the road
BONNET = 0.06  # fraction of the rows at the bottom that stay unlabelled: they may show the own car


class RoadTeacher:
    """Finds what is certainly road and what certainly is not.

    second  another network that must agree, or None: without it, only the corridor ahead counts as road
    """

    def __init__(self, path: Path, second: DrivableNetwork | None = None):
        if not path.is_file():
            raise DataError(f"{path}: no such file; give the folder of the teachers")
        self._network, self._second = RoadSegmentation(path), second

    def drivable(self, image: np.ndarray, objects: Sequence[Box], street: bool = True) -> np.ndarray | None:
        """(H, W) uint8: DRIVABLE ids, 255 where unsure and on objects; None for a dark image and where no street is.

        The network does not tell the own direction from others: the second network does.
        """
        if not street or image.mean() < MIN_BRIGHTNESS:
            return None
        height, width = image.shape[:2]
        probabilities = cv2.resize(self._network(image).transpose(1, 2, 0), (width, height))
        if self._second is None:
            return mask_from(probabilities, objects)
        return agreed(probabilities, self._second(image), objects)


def mask_from(probabilities: np.ndarray, objects: Sequence[Box]) -> np.ndarray:
    """(H, W) uint8 from (H, W, 4) probabilities of CLASSES."""
    height, width = probabilities.shape[:2]
    road = probabilities[..., 1] + probabilities[..., 3] > SURE
    background = probabilities[..., 0] > SURE
    mask = np.full((height, width), IGNORE, np.uint8)
    mask[_reaching_up(_eroded(background))] = DRIVABLE.index("background")
    mask[_eroded(road) & corridor((height, width))] = DRIVABLE.index("road")
    return without(mask, objects)


def agreed(probabilities: np.ndarray, kinds: np.ndarray, objects: Sequence[Box]) -> np.ndarray:
    """(H, W) uint8 from (H, W, 4) probabilities of CLASSES and the (H, W) DRIVABLE ids of another network."""
    height, width = kinds.shape
    road = probabilities[..., 1] + probabilities[..., 3] > AGREED
    background = (probabilities[..., 0] > SURE) & (kinds == DRIVABLE.index("background"))
    mask = np.full((height, width), IGNORE, np.uint8)
    mask[_reaching_up(_eroded(background))] = DRIVABLE.index("background")
    mask = np.where(_eroded(road & (kinds != DRIVABLE.index("background"))), kinds, mask)
    return without(mask, objects)


def without(mask: np.ndarray, objects: Sequence[Box]) -> np.ndarray:
    """The mask, unlabelled on objects and at the bottom. In place."""
    for x0, y0, x1, y1 in objects:
        mask[max(round(y0), 0) : round(y1), max(round(x0), 0) : round(x1)] = IGNORE
    mask[round(len(mask) * (1 - BONNET)) :] = IGNORE
    return mask


class DrivableNetwork:
    """The drivable head of a model folder."""

    def __init__(self, folder: Path):
        from camera_perception import Perception

        self._perception = Perception.load(folder)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """(H, W) uint8 DRIVABLE ids of a (H, W, 3) uint8 BGR image."""
        found = self._perception(image).drivable
        if found is None or found.names != tuple(DRIVABLE):
            raise DataError(f"the model has no drivable head with the classes {', '.join(DRIVABLE)}: give another")
        ids: np.ndarray = cv2.resize(found.ids, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        return ids


def _reaching_up(mask: np.ndarray) -> np.ndarray:
    """Only regions that reach into the upper half: others are crossings and bright patches of the road."""
    _, regions = cv2.connectedComponents(mask.astype(np.uint8))
    return mask & np.isin(regions, np.unique(regions[: len(mask) // 2]))


def _eroded(mask: np.ndarray) -> np.ndarray:
    return cv2.erode(mask.astype(np.uint8), np.ones((EDGE, EDGE), np.uint8), borderValue=1) > 0


def corridor(size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: the own lane ahead, as a trapezoid from the bottom to the middle of the image."""
    height, width = size
    corners = np.array([[0.3, 1.0], [0.48, 0.5], [0.52, 0.5], [0.7, 1.0]]) * (width, height)
    mask = np.zeros(size, np.uint8)
    cv2.fillPoly(mask, [np.rint(corners).astype(np.int32)], 1)
    return mask > 0
