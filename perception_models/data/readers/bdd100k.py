"""BDD100K as downloaded, in any of its three label generations.

DIR/images/100k/SPLIT/NAME.jpg and, as far as present,
  2020: labels/det_20/det_SPLIT.json, labels/lane/polygons/lane_SPLIT.json, labels/lane/masks/SPLIT/NAME.png,
        labels/drivable/masks/SPLIT/NAME.png (0 direct, 1 alternative, 2 background),
        labels/drivable/polygons/drivable_SPLIT.json
  2018: labels/bdd100k_labels_images_SPLIT.json (boxes, lanes and drivable areas in one file)
  first: labels/100k/SPLIT/NAME.json (one file per image, read by YOLOP)
Images that a file does not mention are unlabelled for its task (every generation has some).
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from perception_models.data.files import (
    DataError,
    is_file,
    list_images,
    malformed_as_data_error,
    read_image,
    read_json,
    read_mask,
)
from perception_models.data.labels import DRIVABLE, IGNORE
from perception_models.data.readers.bdd100k_lanes import flatten, lines_from_labels, lines_from_mask, parts_of
from perception_models.data.readers.lane_positions import assign_positions
from perception_models.data.readers.scalabel import Frame, boxes_from_frame, read_frames, scene_from_frame
from perception_models.data.sample import Lanes, Sample

KNOWN = frozenset({-2, -1, 1, 2})
MASKS = ("lane/masks", "drivable/masks")
DRIVABLE_FROM_2020 = np.full(256, IGNORE, np.uint8)
DRIVABLE_FROM_2020[:3] = DRIVABLE.index("road"), DRIVABLE.index("alternative"), DRIVABLE.index("background")
AREAS = {"direct": 1, "alternative": 2, "area/drivable": 1, "area/alternative": 2}


class Bdd100k:
    """Samples of a split with boxes, light states, scene, lanes and drivable area, as far as their files exist."""

    def __init__(self, folder: Path | str, split: str = "train"):
        self.folder, self.split = Path(folder), split
        self.images = list_images(self.folder / "images/100k" / split)
        self.generation = self._find_generation()

    def _find_generation(self) -> str:
        labels = self.folder / "labels"
        paths = {
            "2020": labels / f"det_20/det_{self.split}.json",
            "2018": labels / f"bdd100k_labels_images_{self.split}.json",
            "first": labels / "100k" / self.split,
        }
        found = next((name for name, path in paths.items() if path.exists()), None)
        if found is None and not self.files[1:]:
            raise DataError(f"{self.folder}: none of {', '.join(map(str, paths.values()))} exists")
        wanted = (paths["first"] / f"{path.stem}.json" for path in self.images)
        if found == "first" and not any(path.exists() for path in wanted):
            name = f"{self.images[0].stem}.json"
            raise DataError(f"{paths['first']}: no file here is named after an image, such as {name}")
        return found or "2020"

    @property
    def names(self) -> list[str]:
        return [path.name for path in self.images]

    @property
    def orphans(self) -> list[str]:
        """Names in the files of boxes and lanes without an image."""
        return sorted((self._frames.keys() | self._lane_frames.keys()) - set(self.names))

    @property
    def files(self) -> list[Path]:
        """Label files, and folders to which files may be added, but whose files do not change."""
        images = self.images[0].parent
        stems = "det_20/det", "bdd100k_labels_images", "lane/polygons/lane", "drivable/polygons/drivable"
        folders = [self._mask_folder(name) for name in MASKS]
        paths = [*map(self._path, stems), *folders, self.folder / "labels/100k" / self.split]
        return [images, *(path for path in paths if path.is_dir() or is_file(path))]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        path = self.images[index]
        image = read_image(path)
        frame, source = self._frame(path)
        scene, texts = scene_from_frame(frame, source)
        with malformed_as_data_error(f"{source}: frame {path.name}"):
            return Sample(
                path.name,
                image,
                boxes_from_frame(frame, source) if "labels" in frame else None,
                self._lanes(path, frame, image.shape[:2]),
                self._drivable(path, frame, image.shape[:2]),
                scene=scene,
                attributes=texts,
            )

    def _path(self, stem: str) -> Path:
        return self.folder / "labels" / f"{stem}_{self.split}.json"

    def _mask_folder(self, name: str) -> Path:
        return self.folder / "labels" / name / self.split

    def _read(self, stem: str) -> dict[str, Frame]:
        """Frames by name; in files of 2020, frames without any object may lack "labels"."""
        path = self._path(stem)
        frames = read_frames(path, self.names) if path.exists() else {}
        if self.generation != "2020":
            return frames
        return {name: {"labels": (), **frame} for name, frame in frames.items()}

    @cached_property
    def _frames(self) -> dict[str, Frame]:
        return self._read("det_20/det" if self.generation == "2020" else "bdd100k_labels_images")

    @cached_property
    def _lane_frames(self) -> dict[str, Frame]:
        return self._read("lane/polygons/lane")

    @cached_property
    def _area_frames(self) -> dict[str, Frame]:
        return self._read("drivable/polygons/drivable")

    def _frame(self, path: Path) -> tuple[Frame, Path]:
        """(frame in the present format, file it comes from)."""
        empty = {"name": path.name}
        if self.generation == "first":
            source = self.folder / "labels/100k" / self.split / f"{path.stem}.json"
            return (frame_from_first(read_json(source), source) if source.exists() else empty), source
        source = self._path("det_20/det" if self.generation == "2020" else "bdd100k_labels_images")
        return self._frames.get(path.name, empty), source

    def _lanes(self, path: Path, frame: Frame, size: tuple[int, int]) -> Lanes | None:
        mask = self._mask_folder("lane/masks") / f"{path.stem}.png"
        if self.generation == "2020":
            frame = self._lane_frames.get(path.name, {})
        if "labels" in frame:
            lines = lines_from_labels([label for label in frame["labels"] or () if self._is_lane(label)], size)
        elif mask.exists():
            lines = lines_from_mask(read_mask(mask, None, size))
        else:
            return None
        return Lanes(assign_positions(lines, size), KNOWN)

    def _is_lane(self, label: dict[str, Any]) -> bool:
        """Since 2020 lanes have a file of their own."""
        return self.generation == "2020" or str(label.get("category", "")).startswith("lane")

    def _drivable(self, path: Path, frame: Frame, size: tuple[int, int]) -> np.ndarray | None:
        mask = self._mask_folder("drivable/masks") / f"{path.stem}.png"
        if mask.exists():
            return drivable_from_mask(read_mask(mask, 3, size))
        if self.generation == "2020":
            frame = self._area_frames.get(path.name, {})
        return drivable_from_labels(frame["labels"] or (), size) if "labels" in frame else None


def frame_from_first(data: Any, path: Path) -> Frame:
    """A per-image file of the first generation as a frame."""
    try:
        objects = data["frames"][0]["objects"]
        attributes = data.get("attributes")
        return {"name": f"{data['name']}.jpg", "attributes": attributes, "labels": objects}
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: expected name and frames[0].objects: {error!r}") from error


def drivable_from_mask(mask: np.ndarray) -> np.ndarray:
    """(H, W) uint8 from BDD100K's ids of 2020: 0 direct, 1 alternative, 2 background."""
    return np.take(DRIVABLE_FROM_2020, mask)


def drivable_from_labels(labels: Any, size: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8 painted from polygons; the ego road over the alternatives."""
    mask = np.zeros(size, np.uint8)
    areas = []
    for label in labels:
        area = AREAS.get((label.get("attributes") or {}).get("areaType") or label.get("category"))
        if area and label.get("poly2d"):
            parts = [flatten(part) for part in parts_of(label["poly2d"])]
            areas.append((area, [np.rint(points - 0.5).astype(np.int32) for points in parts]))
    for area, polygons in sorted(areas, key=lambda entry: -entry[0]):
        cv2.fillPoly(mask, polygons, area)
    return mask
