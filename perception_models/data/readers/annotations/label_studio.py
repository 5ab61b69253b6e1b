"""Label Studio's exports JSON and JSON_MIN: tasks with regions in percent of the image (labelstud.io/guide/export)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

from camera_perception.core.natural_order import natural_order
from perception_models.data.files import IMAGE_SUFFIXES, DataError, is_file, malformed_as_data_error, read_json
from perception_models.data.readers.annotations.images import AnnotatedImages, Box, ImageLabels

UPLOAD = re.compile(r"^[0-9a-f]{8}-")  # put before the name of an uploaded file
LABELS = ("rectanglelabels", "polygonlabels")


class LabelStudio(AnnotatedImages):
    """Samples of an export file, or of the only one in a folder.

    images   folder of the images; default: images/ beside the file, or its own folder
    classes  our classes for the labels, see ClassNames
    """

    def __init__(self, path: Path | str, images: Path | str | None = None, classes: Mapping[str, Any] | None = None):
        path = _export_in(Path(path))
        beside = path.parent / "images"
        folder = Path(images) if images else beside if beside.is_dir() else path.parent
        tasks = read_json(path)
        if not is_export(tasks):
            raise DataError(f"{path}: expected a list of tasks with data and annotations; export as JSON or JSON_MIN")
        with malformed_as_data_error(path):
            labels = [_read(task, folder, path) for task in tasks if "data" not in task or task.get("annotations")]
        first = {each.image: each for each in reversed(labels)}  # of several annotators
        super().__init__(path, [each for each in labels if first[each.image] is each], None, classes)


def is_export(tasks: Any) -> bool:
    """Whether a JSON document is an export of Label Studio, JSON or JSON_MIN."""
    if not isinstance(tasks, list) or not tasks or not all(isinstance(task, dict) for task in tasks):
        return False
    return all("data" in task for task in tasks) or all("annotation_id" in task for task in tasks)


def is_export_file(path: Path) -> bool:
    """Whether a JSON file is an export of Label Studio."""
    try:
        return is_export(read_json(path))
    except DataError:
        return False


def _export_in(path: Path) -> Path:
    files = natural_order(path.glob("*.json")) if path.is_dir() else [path]
    if len(files) != 1:
        raise DataError(f"{path}: holds {len(files)} JSON files; give the export itself")
    return files[0]


def _read(task: dict[str, Any], folder: Path, source: Path) -> ImageLabels:
    regions = _regions(task)
    boxes = [_box(region) for region in regions if any(kind in region for kind in LABELS)]
    return ImageLabels(_image(_address(task.get("data", task)), folder), source, boxes)


def _regions(task: dict[str, Any]) -> list[dict[str, Any]]:
    """Of the first annotation that was not cancelled; in JSON_MIN a task is one annotation, without that level."""
    if "data" not in task:
        lists = (value for value in task.values() if isinstance(value, list))
        return [each for value in lists for each in value if isinstance(each, dict)]
    final: dict[str, Any] = next((each for each in task["annotations"] if not each.get("was_cancelled")), {})
    return [result["value"] for result in final.get("result", []) if "value" in result]


def _address(data: dict[str, Any]) -> str:
    """The text that names an image, else the first."""
    texts = [value for value in data.values() if isinstance(value, str)]
    return next((text for text in texts if text.lower().endswith(IMAGE_SUFFIXES)), (texts or [""])[0])


def _image(address: str, folder: Path) -> Path:
    """A URL, a path of an upload, or /data/local-files/?d=path."""
    parsed = urlparse(address)
    name = Path(unquote((parse_qs(parsed.query).get("d") or [parsed.path])[0])).name
    names = [name, UPLOAD.sub("", name)]
    return next((folder / each for each in names if is_file(folder / each)), folder / name)


def _box(region: dict[str, Any]) -> Box:
    """A rectangle, or the one around a polygon."""
    name = str(next(region[kind][0] for kind in LABELS if kind in region))
    if "points" in region:
        x, y = zip(*region["points"])
        return Box(name, tuple(float(side) / 100 for side in (min(x), min(y), max(x), max(y))), relative=True)
    x0, y0, w, h = (float(region[key]) / 100 for key in ("x", "y", "width", "height"))
    if region.get("rotation"):
        raise ValueError(f"a box is rotated by {region['rotation']} degrees: draw it upright")
    return Box(name, (x0, y0, x0 + w, y0 + h), relative=True)
