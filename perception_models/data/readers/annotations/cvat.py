"""CVAT for images 1.1: boxes, and polylines as lane lines (docs.cvat.ai/docs/manual/advanced/formats)."""

from __future__ import annotations

from collections.abc import Mapping
from math import cos, radians, sin
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from perception_models.data.files import DataError, finite, malformed_as_data_error
from perception_models.data.labels import ROLES
from perception_models.data.readers.annotations.images import AnnotatedImages, Box, ImageLabels, bounds, image_beside
from perception_models.data.readers.annotations.xml_files import read_xml
from perception_models.data.readers.scalabel import line_appearance
from perception_models.data.sample import Lane

NAME = "annotations.xml"


class Cvat(AnnotatedImages):
    """Samples of an export: annotations.xml, or the folder that holds it, with the images in images/ or beside.

    Attributes of boxes: trafficLightColor. Polylines whose label contains "lane" are lane lines; their attributes are
    those of DATA.md: role, lineType, lineColor. Polygons and turned boxes become upright boxes; outside, tracks and
    other shapes are left out.
    """

    def __init__(self, path: Path | str, classes: Mapping[str, Any] | None = None):
        path = Path(path)
        path = path / NAME if path.is_dir() else path
        root = read_xml(path)
        if root.tag != "annotations" or root.find("image") is None:
            raise DataError(f"{path}: no <image> in <annotations>; export as CVAT for images 1.1")
        listed = [name.text or "" for name in root.iterfind("meta//label/name")]
        names = [name for name in listed if "lane" not in name.lower()]
        with_lines = len(names) < len(listed)
        with malformed_as_data_error(path):
            labels = [_read(element, path, with_lines) for element in root.iter("image")]
        super().__init__(path, labels, names or None, classes)


def _read(element: ElementTree.Element, path: Path, with_lines: bool) -> ImageLabels:
    name = element.attrib["name"]
    folders = [path.parent / "images", path.parent / "images" / Path(name).parent]
    image = image_beside(path, folders, name)
    size = int(element.attrib["height"]), int(element.attrib["width"])
    boxes = [_box(each) for each in element if each.tag in ("box", "polygon")]
    lanes = [each for each in element.iter("polyline") if "lane" in each.attrib["label"].lower()]
    return ImageLabels(image, path, boxes, size, [_lane(each) for each in lanes] if lanes or with_lines else None)


def _box(element: ElementTree.Element) -> Box:
    if element.tag == "box":
        sides = _upright(element)
    else:
        sides = bounds(_points(element))
    return Box(element.attrib["label"], sides, state=_attributes(element).get("trafficLightColor", ""))


def _upright(element: ElementTree.Element) -> tuple[float, ...]:
    """x0 y0 x1 y1 around a box that may be turned about its centre (attribute rotation, degrees)."""
    x0, y0, x1, y1 = (float(element.attrib[side]) for side in ("xtl", "ytl", "xbr", "ybr"))
    turn = radians(float(element.attrib.get("rotation", 0)))
    half_x = (abs((x1 - x0) * cos(turn)) + abs((y1 - y0) * sin(turn))) / 2
    half_y = (abs((x1 - x0) * sin(turn)) + abs((y1 - y0) * cos(turn))) / 2
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    return x - half_x, y - half_y, x + half_x, y + half_y


def _lane(element: ElementTree.Element) -> Lane:
    attributes = _attributes(element)
    return Lane(finite(_points(element)), ROLES.get(attributes.get("role", ""), 0), *line_appearance(attributes))


def _points(element: ElementTree.Element) -> list[tuple[float, float]]:
    pairs = (pair.split(",") for pair in element.attrib["points"].split(";"))
    return [(float(u), float(v)) for u, v in pairs]


def _attributes(element: ElementTree.Element) -> dict[str, str]:
    return {each.attrib.get("name", ""): (each.text or "").strip() for each in element.iter("attribute")}
