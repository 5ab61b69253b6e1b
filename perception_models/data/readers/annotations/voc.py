"""Pascal VOC: one XML file per image (http://host.robots.ox.ac.uk/pascal/VOC)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from camera_perception.core.natural_order import natural_order
from perception_models.data.files import DataError, malformed_as_data_error, read_lines
from perception_models.data.readers.annotations.images import AnnotatedImages, Box, ImageLabels, image_beside, read_each
from perception_models.data.readers.annotations.xml_files import read_xml, text

FOLDERS = ("JPEGImages", "images")


class PascalVoc(AnnotatedImages):
    """Samples of DIR/Annotations/*.xml (or annotations/, or DIR/*.xml) with images in JPEGImages/, images/ or beside.

    split    names in ImageSets/Main/SPLIT.txt, where that file exists; else all
    classes  our classes for the names, see ClassNames
    """

    def __init__(self, folder: Path | str, split: str = "", classes: Mapping[str, Any] | None = None):
        folder = Path(folder)
        files = natural_order(folder.glob("[Aa]nnotations/*.xml")) or natural_order(folder.glob("*.xml"))
        if not files:
            raise DataError(f"{folder}: no Annotations/*.xml here")
        chosen = folder / "ImageSets/Main" / f"{split}.txt"
        if split and chosen.is_file():
            stems = {line.split()[0] for line in read_lines(chosen)}
            files = [path for path in files if path.stem in stems]
        folders = [folder / name for name in FOLDERS]
        super().__init__(folder, read_each(files, partial(_read, folders), folders), None, classes)


def is_voc(path: Path) -> bool:
    """Whether an XML file is of Pascal VOC, as labelImg writes it beside each image."""
    try:
        return bool(read_xml(path).tag == "annotation")
    except DataError:
        return False


def _read(folders: list[Path], path: Path) -> ImageLabels:
    root = read_xml(path)
    with malformed_as_data_error(path):
        size = root.find("size")
        stated = None if size is None else (int(text(size, "height", path)), int(text(size, "width", path)))
        image = image_beside(path, folders, root.findtext("filename") or "")
        return ImageLabels(image, path, [_box(each, path) for each in root.iter("object")], stated or None)


def _box(element: ElementTree.Element, path: Path) -> Box:
    """Coordinates as written: tools other than the original devkit count from 0."""
    corner = element.find("bndbox")
    if corner is None:
        raise DataError(f"{path}: <object> without <bndbox>; export it again")
    sides = tuple(float(text(corner, side, path)) for side in ("xmin", "ymin", "xmax", "ymax"))
    return Box(text(element, "name", path), sides, ignored=(element.findtext("difficult") or "0").strip() == "1")
