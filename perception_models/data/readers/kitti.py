"""KITTI object detection: DIR/image_2, DIR/label_2, DIR/calib (Geiger et al., CVPR 2012)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from camera_perception.core.natural_order import natural_order
from perception_models.data.files import DataError, list_images, malformed_as_data_error, read_image, read_lines
from perception_models.data.labels import OBJECTS, UNKNOWN
from perception_models.data.readers.scalabel import checked_box
from perception_models.data.sample import Boxes, BoxRow, Sample, boxes_from_rows

CLASSES = {
    "Car": "car",
    "Van": "car",
    "Truck": "truck",
    "Pedestrian": "pedestrian",
    "Person_sitting": "pedestrian",
    "Cyclist": "rider",
    "Tram": "train",
}
LABELLED = ("car", "truck", "pedestrian", "rider", "train")
KNOWN = frozenset(OBJECTS.index(name) for name in LABELLED if name in OBJECTS)
IGNORED = {"DontCare": LABELLED, "Misc": ("car",)}  # as ignored boxes of these classes: a DontCare may hold anything


class KittiObjects:
    """Samples with boxes of the five classes that KITTI labels, and the intrinsics of its left colour camera."""

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)
        self.images = list_images(self.folder / "image_2")

    @property
    def names(self) -> list[str]:
        return [path.name for path in self.images]

    @property
    def orphans(self) -> list[str]:
        """Label files without an image."""
        stems = {path.stem for path in self.images}
        return [path.name for path in natural_order((self.folder / "label_2").glob("*.txt")) if path.stem not in stems]

    @property
    def files(self) -> list[Path]:
        return [*self.images, *natural_order((self.folder / "label_2").glob("*.txt"))]

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
        """Every image of the training part has a label file: a missing one is an error, not an empty scene."""
        lines = enumerate(read_lines(path), 1)
        return boxes_from_rows(row for number, line in lines for row in _rows(line.split(), f"{path}: line {number}"))


def _rows(columns: list[str], where: str) -> list[BoxRow]:
    """The boxes of one line: several if its type may stand for several classes."""
    ignored = IGNORED.get(columns[0])
    names = ignored or (CLASSES.get(columns[0]),)
    if None in names:
        raise DataError(f"{where}: unknown type {columns[0]!r}, expected one of {', '.join([*CLASSES, *IGNORED])}")
    box = checked_box(columns[4:8], where)
    return [(box, OBJECTS.index(str(name)), ignored is not None, UNKNOWN) for name in names if name in OBJECTS]


def intrinsics_from_calib(path: Path) -> np.ndarray:
    """(3, 3) of P2, the left colour camera."""
    for line in read_lines(path):
        key, _, values = line.partition(":")
        if key == "P2":
            with malformed_as_data_error(path):
                numbers = np.array(values.split(), float)
            if numbers.shape != (12,):
                raise DataError(f"{path}: P2 has {len(numbers)} numbers, expected 12")
            return numbers.reshape(3, 4)[:, :3].copy()
    raise DataError(f"{path}: no P2 in this calibration")
