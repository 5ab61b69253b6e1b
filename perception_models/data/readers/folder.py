"""The project's own folder layout (DATA.md): rendered data, and real images with any subset of labels."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from camera_perception.core.natural_order import natural_order
from perception_models.data.files import (
    DataError,
    list_images,
    malformed_as_data_error,
    read_image,
    read_json_lines,
    read_mask,
)
from perception_models.data.labels import DRIVABLE, POSITIONS, SEMANTIC, ClassNames
from perception_models.data.readers.scalabel import (
    Frame,
    boxes_from_frame,
    lanes_from_frame,
    read_frames,
    scene_from_frame,
    unlabelled_classes,
)
from perception_models.data.sample import ALL_CLASSES, Boxes, Lanes, Sample

EGO_LANE = frozenset({-1, 1})
READ = ("labels/det_20/det.json", "labels/det/det.json", "labels/lane/lane.json",
        "labels/drivable/masks/*.png", "labels/sem_seg/masks/*.png")  # fmt: skip
SIDECARS = ("labels/det_components",)  # for other tools


class LabelledFolder:
    """Samples of DIR/images with their labels from DIR/labels and DIR/truth.

    include, exclude  file name patterns: a sample must match one of the former (if any) and none of the latter
    classes           our classes for the class names of the boxes, see ClassNames
    """

    def __init__(
        self,
        folder: Path | str,
        include: tuple[str, ...] = (),
        exclude: tuple[str, ...] = (),
        classes: Mapping[str, Any] | None = None,
    ):
        self.folder, self._class_names = Path(folder), ClassNames(classes)
        images = list_images(self.folder / "images")
        self._all_names = {path.name for path in images}
        self.images = [path for path in images if _chosen(path.name, include, exclude)]
        if not self.images:
            raise DataError(f"{self.folder}: include={list(include)} exclude={list(exclude)} leave no image")

    @property
    def names(self) -> list[str]:
        return [path.name for path in self.images]

    @property
    def orphans(self) -> list[str]:
        """Names in the labels without an image."""
        stems = {Path(name).stem for name in self._all_names}
        masks = natural_order(self.folder.glob("labels/*/masks/*.png"))
        unknown = [path.name for path in masks if path.stem not in stems]
        return sorted((self._boxes.keys() | self._lines.keys()) - self._all_names) + unknown

    @property
    def unread(self) -> list[str]:
        """Folders below labels/ that this reader does not know."""
        known = {"/".join(pattern.split("/")[:2]) for pattern in READ} | set(SIDECARS)
        found = natural_order(path for path in self.folder.glob("labels/*") if path.is_dir())
        return [f"labels/{path.name}" for path in found if f"labels/{path.name}" not in known]

    @property
    def no_labels(self) -> str:
        """Why there is no label at all, as one sentence; empty if there are some."""
        if any(any(self.folder.glob(pattern)) for pattern in READ):
            return ""
        found = ", ".join(self.unread[:5]) or "nothing below labels/"
        return f"{self.folder}: no labels read; looked for {', '.join(READ)}; found {found}"

    @property
    def files(self) -> list[Path]:
        """All files that determine the samples, for the cache to detect changes."""
        labels = [path for path in (self.folder / "labels").rglob("*") if path.is_file()]
        return [*self.images, *natural_order(labels), *natural_order(self.folder.glob("truth/*"))]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        path = self.images[index]
        image = read_image(path)
        frame = self._boxes.get(path.name) or self._lines.get(path.name) or {}
        scene, texts = scene_from_frame(frame, self.folder / "labels")
        with malformed_as_data_error(f"{self._truth_path}: {path.name}"):
            truth = self._truth.get(path.name, {})
            intrinsics, pose = intrinsics_from_truth(truth), pose_from_truth(truth)
        return Sample(
            name=path.name,
            image=image,
            boxes=self._boxes_of(path.name),
            lanes=self._lanes_of(path.name),
            drivable=self._mask("drivable", path.stem, len(DRIVABLE), image.shape[:2]),
            semantic=self._mask("sem_seg", path.stem, len(SEMANTIC), image.shape[:2]),
            scene=scene,
            intrinsics=intrinsics,
            base_from_camera=pose,
            attributes={"sequence": str(truth["sequence"]), **texts} if "sequence" in truth else texts,
            known_classes=ALL_CLASSES - unlabelled_classes(frame, self._boxes_path),
        )

    def _boxes_of(self, name: str) -> Boxes | None:
        """None if the frame has no list of labels: it then only holds attributes."""
        frame = self._boxes.get(name, {})
        return None if frame.get("labels") is None else boxes_from_frame(frame, self._boxes_path, self._class_names)

    def _lanes_of(self, name: str) -> Lanes | None:
        """Real folders label the ego lane, and other lines in some images: where none is, nothing is known."""
        frame = self._lines.get(name, {})
        if frame.get("labels") is None:
            return None
        lines = lanes_from_frame(frame, self._lines_path)
        labelled = EGO_LANE | {line.position for line in lines} - {0}
        return Lanes(lines, frozenset(POSITIONS) if self._all_lines_labelled else labelled)

    def _mask(self, name: str, stem: str, classes: int, size: tuple[int, int]) -> np.ndarray | None:
        path = self.folder / "labels" / name / "masks" / f"{stem}.png"
        return read_mask(path, classes, size) if path.exists() else None

    @property
    def _boxes_path(self) -> Path:
        new = self.folder / "labels/det_20/det.json"
        return new if new.exists() else self.folder / "labels/det/det.json"

    @property
    def _lines_path(self) -> Path:
        return self.folder / "labels/lane/lane.json"

    @property
    def _truth_path(self) -> Path:
        return self.folder / "truth/truth.jsonl"

    @cached_property
    def _boxes(self) -> dict[str, Frame]:
        return read_frames(self._boxes_path, self._all_names) if self._boxes_path.exists() else {}

    @cached_property
    def _lines(self) -> dict[str, Frame]:
        return read_frames(self._lines_path, self._all_names) if self._lines_path.exists() else {}

    @cached_property
    def _truth(self) -> dict[str, dict[str, Any]]:
        kept = ("intrinsics", "base_from_camera", "sequence")
        lines = read_json_lines(self._truth_path) if self._truth_path.exists() else []
        return {line["name"]: {key: line[key] for key in kept if key in line} for line in lines if "name" in line}

    @cached_property
    def _all_lines_labelled(self) -> bool:
        """Only rendered images have an exact lineType, and there every line is labelled."""
        labels = (label for frame in self._lines.values() for label in frame.get("labels") or ())
        with malformed_as_data_error(self._lines_path):
            return bool(self._truth) or any("lineType" in (label.get("attributes") or {}) for label in labels)


def intrinsics_from_truth(truth: dict[str, Any]) -> np.ndarray | None:
    if "intrinsics" not in truth:
        return None
    fx, fy, cx, cy = truth["intrinsics"]
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])


def pose_from_truth(truth: dict[str, Any]) -> np.ndarray | None:
    return np.array(truth["base_from_camera"], float).reshape(4, 4) if "base_from_camera" in truth else None


def _chosen(name: str, include: tuple[str, ...], exclude: tuple[str, ...]) -> bool:
    return (not include or any(fnmatch(name, p) for p in include)) and not any(fnmatch(name, p) for p in exclude)
