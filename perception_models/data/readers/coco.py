"""Detection in COCO's JSON format, with COCO's own or our class names."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perception_models.data.files import DataError, is_file, malformed_as_data_error, read_image, read_json
from perception_models.data.labels import LIGHT, LIGHT_STATES, OBJECTS, UNKNOWN, ClassNames, index
from perception_models.data.readers.scalabel import checked_box
from perception_models.data.sample import Boxes, BoxRow, Sample, boxes_from_rows


def is_coco(path: Path) -> bool:
    """Whether a JSON file is of COCO."""
    try:
        return _has_parts(read_json(path))
    except DataError:
        return False


def _has_parts(data: Any) -> bool:
    return isinstance(data, dict) and {"images", "annotations", "categories"} <= data.keys()


class CocoDetection:
    """Samples of an annotation file, including images without any object.

    Classes missing from the categories of the file are unlabelled: neither trained nor evaluated.

    others   names of unknown categories, whose objects are left out
    orphans  annotations of images that the file does not list
    images   folder of the images; by default the first of ../SPLIT, ../images/SPLIT, images, data, ../images, relative
             to the file, that holds them, where SPLIT is its name without "instances_", or the folder of the file
    classes  our classes for the categories, see ClassNames
    """

    def __init__(
        self, annotations: Path | str, images: Path | str | None = None, classes: Mapping[str, Any] | None = None
    ):
        self.path, names = Path(annotations), ClassNames(classes)
        self._data = read_json(self.path)
        if not _has_parts(self._data):
            raise DataError(f"{self.path}: expected COCO's images, annotations and categories")
        self._labels: dict[str, list[dict[str, Any]]] = defaultdict(list)
        with malformed_as_data_error(self.path):
            self._rows = sorted(self._data["images"], key=lambda row: str(row["file_name"]))
            for label in self._data["annotations"]:
                self._labels[str(label["image_id"])].append(label)
            self.folder = Path(images) if images else _image_folder(self.path, self.names)
            self._check_ids()
            categories = {row["id"]: str(row["name"]) for row in self._data["categories"]}
        self._class_of_category = {str(number): names(name) for number, name in categories.items()}
        self.others = names.unknown(categories.values())
        self.known = frozenset(c for c in self._class_of_category.values() if c != UNKNOWN)
        if not self.known or not self._rows:
            raise DataError(f"{self.path}: no image, or no category among {', '.join(OBJECTS)}")

    def _check_ids(self) -> None:
        """DataError if two images share an id, or if no annotation belongs to any image."""
        count = Counter(str(row["id"]) for row in self._rows)
        twice = [number for number, times in count.items() if times > 1]
        if twice:
            files = [str(row["file_name"])[:60] for row in self._rows if str(row["id"]) == twice[0]]
            raise DataError(
                f"{self.path}: {len(twice)} image ids occur more than once, such as {twice[0][:30]} for "
                f"{' and '.join(files[:2])}; give each image its own id"
            )
        self.orphans = [
            f"{len(labels)} annotations of image_id {number[:30]}"
            for number, labels in self._labels.items()
            if number not in count
        ]
        if self._labels and len(self.orphans) == len(self._labels):
            raise DataError(f"{self.path}: no annotation has the id of an image: {self.orphans[0]}; fix the ids")

    @property
    def names(self) -> list[str]:
        return [str(row["file_name"]) for row in self._rows]

    @property
    def files(self) -> list[Path]:
        return [self.path, *(path for name in self.names if is_file(path := self.folder / name))]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> Sample:
        row = self._rows[number]
        path = self.folder / str(row["file_name"])
        image = read_image(path)
        size = row.get("height", image.shape[0]), row.get("width", image.shape[1])
        if size != image.shape[:2]:
            raise DataError(f"{path}: {image.shape[1]}x{image.shape[0]} pixels, but {size[1]}x{size[0]} in {self.path}")
        return Sample(str(row["file_name"]), image, self._boxes(row), known_classes=self.known)

    def _boxes(self, row: dict[str, Any]) -> Boxes:
        with malformed_as_data_error(f"{self.path}: {row['file_name']}"):
            labels = [label for label in self._labels.get(str(row["id"]), []) if self._class_of(label) >= 0]
            return boxes_from_rows([self._box(label, row["file_name"]) for label in labels])

    def _class_of(self, label: dict[str, Any]) -> int:
        return self._class_of_category.get(str(label.get("category_id")), UNKNOWN)

    def _box(self, label: dict[str, Any], name: str) -> BoxRow:
        where = f"{self.path}: {name}: label {label.get('id')}"
        try:
            x, y, width, height = map(float, label["bbox"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{where} needs bbox [x, y, width, height]") from error
        class_id = self._class_of(label)
        attributes = {**label, **(label.get("attributes") or {})}  # FiftyOne writes them as keys of the label
        state = attributes.get("trafficLightColor") if class_id == LIGHT else None
        box = checked_box((x, y, x + width, y + height), where)
        return box, class_id, bool(label.get("iscrowd", 0)), index(LIGHT_STATES, state)


def _image_folder(path: Path, names: list[str]) -> Path:
    above, split = path.parent.parent, path.stem.replace("instances_", "")
    folders = [above / split, above / "images" / split, path.parent / "images", path.parent / "data", above / "images"]
    holding = (each for each in (*folders, path.parent) if any(is_file(each / name) for name in names[:20]))
    found = next(holding, None) or next((folder for folder in folders if folder.is_dir()), None)
    if found is None:
        raise DataError(f"{path}: no folder of images found next to it; set the option images")
    return found
