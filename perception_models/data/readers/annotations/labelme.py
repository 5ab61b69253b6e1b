"""labelme: one JSON file per image with shapes (github.com/wkentaro/labelme)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from camera_perception.core.natural_order import natural_order
from perception_models.data.files import DataError, malformed_as_data_error, read_json
from perception_models.data.readers.annotations.images import (
    AnnotatedImages,
    Box,
    ImageLabels,
    bounds,
    image_beside,
    read_each,
)

AREAS = ("rectangle", "polygon", "mask")


class LabelMe(AnnotatedImages):
    """Samples of DIR/*.json with the images beside them; polygons become boxes, points and lines are left out."""

    def __init__(self, folder: Path | str, classes: Mapping[str, Any] | None = None):
        folder = Path(folder)
        files = natural_order(folder.glob("*.json"))
        if not files:
            raise DataError(f"{folder}: no *.json here")
        super().__init__(folder, read_each(files, _read), None, classes)


def is_labelme(path: Path) -> bool:
    """Whether a JSON file is of labelme."""
    try:
        data = read_json(path)
    except DataError:
        return False
    return isinstance(data, dict) and "shapes" in data and "imagePath" in data


def _read(path: Path) -> ImageLabels:
    data = read_json(path)
    with malformed_as_data_error(path):
        height, width = data.get("imageHeight"), data.get("imageWidth")
        shapes = [shape for shape in data["shapes"] if shape.get("shape_type", "polygon") in AREAS]
        boxes = [Box(str(shape["label"]), bounds(shape["points"])) for shape in shapes]
        size = (int(height), int(width)) if height and width else None
        return ImageLabels(image_beside(path, name=str(data.get("imagePath") or "")), path, boxes, size)
