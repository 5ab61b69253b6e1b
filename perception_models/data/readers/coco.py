"""Detection in COCO's JSON format, with COCO's own or our class names."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from perception_models.data.files import DataError, read_image, read_json, usable
from perception_models.data.labels import LIGHT, LIGHT_STATES, OBJECTS, UNKNOWN, index
from perception_models.data.readers.scalabel import ALIASES, checked_box
from perception_models.data.sample import Boxes, Sample


class CocoDetection:
    """Samples of an annotation file; images without an object of a class of ours are there too.

    A class of ours that the file does not list is not labelled: nothing is learnt or measured about it.

    others  names of categories that are none of ours: their objects are left out
    images  folder of the pictures; by default the first of ../<split>, ../images/<split>, images, ../images that exists
            beside the file, <split> being its name without "instances_"
    """

    def __init__(self, annotations: Path | str, images: Path | str | None = None):
        self.path = Path(annotations)
        self._data = read_json(self.path)
        if not isinstance(self._data, dict) or not {"images", "annotations", "categories"} <= self._data.keys():
            raise DataError(f"{self.path}: expected COCO's images, annotations and categories")
        self.folder = Path(images) if images else _beside(self.path)
        self._labels: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        with usable(self.path):
            self._rows = sorted(self._data["images"], key=lambda row: str(row["file_name"]))
            for label in self._data["annotations"]:
                self._labels[label["image_id"]].append(label)
            categories = {row["id"]: str(row["name"]) for row in self._data["categories"]}
        self._kinds = {number: _class_of(name) for number, name in categories.items()}
        self.others = [name for number, name in categories.items() if self._kinds[number] == UNKNOWN]
        self.known = frozenset(kind for kind in self._kinds.values() if kind != UNKNOWN)
        if not self.known or not self._rows:
            raise DataError(f"{self.path}: no image, or no category among {', '.join(OBJECTS)}")

    @property
    def names(self) -> list[str]:
        return [str(row["file_name"]) for row in self._rows]

    @property
    def files(self) -> list[Path]:
        return [self.path, *(path for name in self.names if (path := self.folder / name).exists())]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> Sample:
        row = self._rows[number]
        path = self.folder / str(row["file_name"])
        image = read_image(path)
        size = row.get("height", image.shape[0]), row.get("width", image.shape[1])
        if size != image.shape[:2]:
            raise DataError(f"{path}: {image.shape[1]}x{image.shape[0]} pixels, {self.path} says {size[1]}x{size[0]}")
        return Sample(str(row["file_name"]), image, self._boxes(row), known_classes=self.known)

    def _boxes(self, row: dict[str, Any]) -> Boxes:
        with usable(f"{self.path}: {row['file_name']}"):
            kept = [label for label in self._labels[row["id"]] if self._kinds.get(label.get("category_id"), -1) >= 0]
            rows = [self._box(label, row["file_name"]) for label in kept]
        return Boxes(*zip(*rows)) if rows else Boxes.empty()

    def _box(self, label: dict[str, Any], name: str) -> tuple[list[float], int, bool, int]:
        where = f"{self.path}: {name}: label {label.get('id')}"
        try:
            x, y, width, height = map(float, label["bbox"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{where} needs bbox [x, y, width, height]") from error
        kind = self._kinds[label["category_id"]]
        state = (label.get("attributes") or {}).get("trafficLightColor") if kind == LIGHT else None
        box = checked_box((x, y, x + width, y + height), where)
        return box, kind, bool(label.get("iscrowd", 0)), index(LIGHT_STATES, state)


def _class_of(name: str) -> int:
    """COCO's stop sign is one of many signs: its file does not label our "traffic sign"."""
    return index(OBJECTS, ALIASES.get(name, name))


def _beside(path: Path) -> Path:
    above, split = path.parent.parent, path.stem.replace("instances_", "")
    places = [above / split, above / "images" / split, path.parent / "images", above / "images"]
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        raise DataError(f"{path}: no folder of images found beside it; give the option images")
    return found
