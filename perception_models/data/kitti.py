"""KITTI object detection: DIR/image_2, DIR/label_2, DIR/calib (Geiger et al., CVPR 2012)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from perception_models.data.errors import DataError
from perception_models.data.files import list_images, read_image, read_lines
from perception_models.data.labels import OBJECTS, UNKNOWN
from perception_models.data.sample import Boxes, Sample

CLASSES = {
    "Car": "car",
    "Van": "car",
    "Truck": "truck",
    "Pedestrian": "pedestrian",
    "Person_sitting": "pedestrian",
    "Cyclist": "rider",
    "Tram": "train",
}
IGNORED = {"DontCare": "car", "Misc": "car"}
KNOWN = frozenset(OBJECTS.index(name) for name in ("car", "truck", "pedestrian", "rider", "train"))


class KittiObjects:
    """Samples with boxes of the five classes that KITTI labels, and the calibration of its left colour camera."""

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)
        self.images = list_images(self.folder / "image_2")

    @property
    def names(self) -> list[str]:
        return [path.name for path in self.images]

    @property
    def files(self) -> list[Path]:
        return [*self.images, *sorted((self.folder / "label_2").glob("*.txt"))]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        path = self.images[index]
        calib = self.folder / "calib" / f"{path.stem}.txt"
        return Sample(
            path.name,
            read_image(path),
            self._boxes(self.folder / "label_2" / f"{path.stem}.txt"),
            known_classes=KNOWN,
            intrinsics=intrinsics_from_calib(calib) if calib.exists() else None,
        )

    def _boxes(self, path: Path) -> Boxes:
        """Without a .txt of its own an image of the training part is broken, not empty."""
        rows = [_row(line.split(), f"{path}: line {number}") for number, line in enumerate(read_lines(path), 1)]
        return Boxes(*zip(*rows)) if rows else Boxes.none()


def _row(words: list[str], where: str) -> tuple[list[float], int, bool, int]:
    name = CLASSES.get(words[0], IGNORED.get(words[0]))
    if name is None:
        raise DataError(f"{where}: unknown type {words[0]!r}, expected one of {', '.join([*CLASSES, *IGNORED])}")
    try:
        box = [float(word) for word in words[4:8]]
    except ValueError as error:
        raise DataError(f"{where}: {error}") from error
    if len(box) != 4:
        raise DataError(f"{where}: {len(words)} values, a KITTI label has 15")
    return box, OBJECTS.index(name), words[0] in IGNORED, UNKNOWN


def intrinsics_from_calib(path: Path) -> np.ndarray:
    """(3, 3) of P2, the left colour camera."""
    for line in read_lines(path):
        key, _, values = line.partition(":")
        if key == "P2":
            numbers = np.array(values.split(), float)
            if numbers.shape != (12,):
                raise DataError(f"{path}: P2 has {len(numbers)} numbers, expected 12")
            return numbers.reshape(3, 4)[:, :3].copy()
    raise DataError(f"{path}: no P2 in this calibration")
