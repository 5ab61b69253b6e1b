"""Label Studio's JSON export: tasks with results in percent of the image (labelstud.io/guide/export)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

from perception_models.data.files import DataError, is_file, malformed_as_data_error, read_json
from perception_models.data.readers.annotations.images import AnnotatedImages, Box, ImageLabels

UPLOAD = re.compile(r"^[0-9a-f]{8}-")  # put before the name of an uploaded file


class LabelStudio(AnnotatedImages):
    """Samples of an export file.

    images   folder of the images; default: images/ beside the file, or its own folder
    classes  our classes for the labels, see ClassNames
    """

    def __init__(self, path: Path | str, images: Path | str | None = None, classes: Mapping[str, Any] | None = None):
        path = Path(path)
        beside = path.parent / "images"
        folder = Path(images) if images else beside if beside.is_dir() else path.parent
        tasks = read_json(path)
        if not is_export(tasks):
            raise DataError(f"{path}: expected a list of tasks with data and annotations; export as JSON")
        with malformed_as_data_error(path):
            labels = [_read(task, folder, path) for task in tasks if task.get("annotations")]
        super().__init__(path, labels, None, classes)


def is_export(tasks: Any) -> bool:
    """Whether a JSON document is an export of Label Studio."""
    return isinstance(tasks, list) and bool(tasks) and all(isinstance(t, dict) and "data" in t for t in tasks)


def _read(task: dict[str, Any], folder: Path, source: Path) -> ImageLabels:
    address = next((v for v in task["data"].values() if isinstance(v, str)), "")
    final: dict[str, Any] = next((each for each in task["annotations"] if not each.get("was_cancelled")), {})
    boxes = [_box(r) for r in final.get("result", []) if r.get("type") == "rectanglelabels"]
    return ImageLabels(_image(address, folder), source, boxes)


def _image(address: str, folder: Path) -> Path:
    """A URL, a path of an upload, or /data/local-files/?d=path."""
    parsed = urlparse(address)
    name = Path(unquote((parse_qs(parsed.query).get("d") or [parsed.path])[0])).name
    names = [name, UPLOAD.sub("", name)]
    return next((folder / each for each in names if is_file(folder / each)), folder / name)


def _box(result: dict[str, Any]) -> Box:
    value = result["value"]
    x, y, w, h = (float(value[key]) / 100 for key in ("x", "y", "width", "height"))
    if value.get("rotation"):
        raise ValueError(f"box {result.get('id')} is rotated by {value['rotation']} degrees: draw it upright")
    return Box(str(value["rectanglelabels"][0]), (x, y, x + w, y + h), relative=True)
