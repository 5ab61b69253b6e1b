"""BDD100K as downloaded, in any of its three label generations.

DIR/images/100k/SPLIT/NAME.jpg and, as far as present,
  2020: labels/det_20/det_SPLIT.json, labels/lane/polygons/lane_SPLIT.json, labels/lane/masks/SPLIT/NAME.png,
        labels/drivable/masks/SPLIT/NAME.png (0 direct, 1 alternative, 2 background)
  2018: labels/bdd100k_labels_images_SPLIT.json (boxes, lanes and drivable areas in one file)
  first: labels/100k/SPLIT/NAME.json (one file per image, read by YOLOP)
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from perception_models.data.bdd_lanes import flattened, lines_from_labels, lines_from_mask, parts_of
from perception_models.data.errors import DataError
from perception_models.data.files import list_images, read_image, read_json, read_mask
from perception_models.data.labels import DRIVABLE, IGNORE
from perception_models.data.lane_positions import placed
from perception_models.data.sample import Lanes, Sample
from perception_models.data.scalabel import Frame, boxes_from_frame, read_frames, scene_from_frame

KNOWN = frozenset({-2, -1, 1, 2})
OURS_FROM_2020 = np.full(256, IGNORE, np.uint8)
OURS_FROM_2020[:3] = DRIVABLE.index("road"), DRIVABLE.index("alternative"), DRIVABLE.index("background")
AREAS = {"direct": 1, "alternative": 2, "area/drivable": 1, "area/alternative": 2}


class Bdd100k:
    """Samples of a split with boxes, light states, scene, lanes and drivable area, as far as the files are there."""

    def __init__(self, folder: Path | str, split: str = "train"):
        self.folder, self.split = Path(folder), split
        self.images = list_images(self.folder / "images/100k" / split)
        self.generation = self._find_generation()

    def _find_generation(self) -> str:
        labels = self.folder / "labels"
        places = {
            "2020": labels / f"det_20/det_{self.split}.json",
            "2018": labels / f"bdd100k_labels_images_{self.split}.json",
            "first": labels / "100k" / self.split,
        }
        found = next((name for name, path in places.items() if path.exists()), None)
        if found is None:
            raise DataError(f"{self.folder}: none of {', '.join(map(str, places.values()))} exists")
        return found

    @property
    def names(self) -> list[str]:
        return [path.name for path in self.images]

    @property
    def files(self) -> list[Path]:
        """Label files; images and masks of BDD100K do not change."""
        paths = self._path("det_20/det"), self._path("bdd100k_labels_images"), self._lanes_path
        return [path for path in paths if path.exists()]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        path = self.images[index]
        image = read_image(path)
        frame, source = self._frame(path)
        scene, words = scene_from_frame(frame)
        return Sample(
            path.name,
            image,
            boxes_from_frame(frame, source) if "labels" in frame or self.generation == "2020" else None,
            self._lanes(path, frame, image.shape[:2]),
            self._drivable(path, frame, image.shape[:2]),
            scene=scene,
            attributes=words,
        )

    def _path(self, stem: str) -> Path:
        return self.folder / "labels" / f"{stem}_{self.split}.json"

    @property
    def _lanes_path(self) -> Path:
        return self._path("lane/polygons/lane")

    @cached_property
    def _frames(self) -> dict[str, Frame]:
        return read_frames(self._path("det_20/det" if self.generation == "2020" else "bdd100k_labels_images"))

    @cached_property
    def _lane_frames(self) -> dict[str, Frame]:
        return read_frames(self._lanes_path) if self._lanes_path.exists() else {}

    def _frame(self, path: Path) -> tuple[Frame, Path]:
        """(frame in today's form, file it came from)."""
        if self.generation == "first":
            source = self.folder / "labels/100k" / self.split / f"{path.stem}.json"
            return frame_from_first(read_json(source), source), source
        source = self._path("det_20/det" if self.generation == "2020" else "bdd100k_labels_images")
        return self._frames.get(path.name, {"name": path.name}), source

    def _lanes(self, path: Path, frame: Frame, size: tuple[int, int]) -> Lanes | None:
        mask = self.folder / "labels/lane/masks" / self.split / f"{path.stem}.png"
        if self.generation != "2020":
            lines = lines_from_labels([x for x in frame.get("labels") or () if _is_lane(x)], size)
        elif path.name in self._lane_frames:
            lines = lines_from_labels(self._lane_frames[path.name].get("labels") or (), size)
        elif mask.exists():
            lines = lines_from_mask(read_mask(mask, None, size))
        else:
            return None
        return Lanes(placed(lines, size), KNOWN)

    def _drivable(self, path: Path, frame: Frame, size: tuple[int, int]) -> np.ndarray | None:
        mask = self.folder / "labels/drivable/masks" / self.split / f"{path.stem}.png"
        if mask.exists():
            return OURS_FROM_2020[read_mask(mask, 3, size)]
        return None if self.generation == "2020" else drivable_from_labels(frame.get("labels") or (), size)


def _is_lane(label: dict[str, Any]) -> bool:
    return str(label.get("category", "")).startswith("lane")


def frame_from_first(data: Any, path: Path) -> Frame:
    """One of the first generation's per-image files as a frame."""
    try:
        objects = data["frames"][0]["objects"]
        attributes = data.get("attributes")
        return {"name": f"{data['name']}.jpg", "attributes": attributes, "labels": objects}
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: expected name and frames[0].objects: {error!r}") from error


def drivable_from_labels(labels: Any, size: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8 painted from polygons; the own road over the alternatives."""
    mask = np.zeros(size, np.uint8)
    areas = []
    for label in labels:
        kind = AREAS.get((label.get("attributes") or {}).get("areaType") or label.get("category"))
        if kind and label.get("poly2d"):
            areas.append(
                (kind, [np.rint(flattened(part) - 0.5).astype(np.int32) for part in parts_of(label["poly2d"])])
            )
    for kind, polygons in sorted(areas, key=lambda area: -area[0]):
        cv2.fillPoly(mask, polygons, kind)
    return mask
