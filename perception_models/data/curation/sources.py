"""Folders of real images to label: their images, existing labels, licences and credits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perception_models.data.curation.boxes import TrueBox, Truth
from perception_models.data.files import DataError, list_images, malformed_as_data_error, read_json
from perception_models.data.labels import OBJECTS

LICENCE_FILES = ("LICENCE.txt", "LICENSE", "LICENSE.txt", "ATTRIBUTION.txt")
RESTRICTED = re.compile(r"non-?commercial|research use|by-nc|pandaset", re.IGNORECASE)
FLICKR_LICENCES = {4: "CC BY 2.0", 7: "no known copyright restrictions", 8: "United States Government work"}
OPEN_IMAGES_CLASSES = ("car", "bus", "truck", "motorcycle", "ambulance")
HAND_CLASSES = (*OBJECTS, "person", "stop sign", "vehicle", "two-wheeler")
Credit = dict[str, str]  # id, author, url, licence


@dataclass(frozen=True)
class Picture:
    """One image to label.

    credit  id, author, url and licence, as far as known
    """

    path: Path
    truth: Truth
    credit: Credit


def open_source(folder: Path) -> list[Picture]:
    """The images of a folder with what is known about them.

    Known are folders with images/ and an annotations.json (COCO or Open Images records), labelled folders
    (perception_models/DATA.md), and folders of images alone. Without a licence, or with one that forbids to ship what
    was trained on it, it is a DataError.
    """
    licence = licence_of(folder)
    images = list_images(folder / "images" if (folder / "images").is_dir() else folder)
    records = _records(folder)
    boxes = _hand_boxes(folder)
    return [_picture(path, records.get(path.name), boxes.get(path.name), licence) for path in images]


def licence_of(folder: Path) -> str:
    """First line of the licence; DataError if there is none or it restricts the use."""
    path = next((folder / name for name in LICENCE_FILES if (folder / name).is_file()), None)
    if path is None:
        raise DataError(f"{folder}: holds no {', '.join(LICENCE_FILES)}; add the licence of the images to label them")
    text = path.read_text("utf-8").strip()
    if found := RESTRICTED.search(f"{text} {folder.resolve().name}"):
        raise DataError(
            f"{folder}: its licence says '{found[0]}': use it to measure only; label images that may be trained on"
        )
    return text.splitlines()[0] if text else "unknown"


def _records(folder: Path) -> dict[str, dict[str, Any]]:
    path = folder / "annotations.json"
    if not path.is_file():
        return {}
    with malformed_as_data_error(path):
        return {str(record["file_name"]): record for record in read_json(path)}


def _hand_boxes(folder: Path) -> dict[str, list[TrueBox]]:
    """Boxes of a labelled folder by image name."""
    paths = folder / "labels/det_20/det.json", folder / "labels/det/det.json"
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return {}
    with malformed_as_data_error(path):
        frames = read_json(path)
        return {f["name"]: [_hand_box(label) for label in f["labels"]] for f in frames if f.get("labels") is not None}


def _hand_box(label: dict[str, Any]) -> TrueBox:
    box, attributes = label["box2d"], label.get("attributes") or {}
    sides = float(box["x1"]), float(box["y1"]), float(box["x2"]), float(box["y2"])
    state = str(attributes.get("trafficLightColor") or "")
    return TrueBox(sides, str(label["category"]), bool(attributes.get("ignored")), state)


def _picture(
    path: Path, record: dict[str, Any] | None, boxes: list[TrueBox] | None, licence: str
) -> Picture:  # fmt: skip
    if record is None:
        truth = Truth() if boxes is None else Truth(tuple(boxes), frozenset(HAND_CLASSES))
        return Picture(path, truth, {"id": path.stem, "author": "", "url": "", "licence": licence})
    with malformed_as_data_error(f"annotations.json: {path.name}"):
        read = _open_images if "openimages_id" in record else _coco
        return Picture(path, *read(record, licence))


def _coco(record: dict[str, Any], licence: str) -> tuple[Truth, Credit]:
    """Boxes x y width height; truth_classes names the classes that are complete."""
    boxes = [
        TrueBox((x, y, x + w, y + h), t["category"], bool(t.get("crowd")))
        for t in record["truth"]
        for x, y, w, h in [t["bbox"]]
    ]
    classes = re.findall("|".join(COCO_CLASSES), record["truth_classes"])
    number = record.get("license")
    url = str(record.get("flickr_url") or "")
    credit = {
        "id": Path(record["file_name"]).stem,
        "author": "",
        "url": _flickr_page(url) or url,
        "licence": FLICKR_LICENCES.get(number, licence) if isinstance(number, int) else licence,
    }
    return Truth(tuple(boxes), frozenset(classes)), credit


COCO_CLASSES = ("person", "bicycle", "car", "motorcycle", "bus", "truck", "train", "traffic light", "stop sign")


def _flickr_page(url: str) -> str:
    """Page that names the author, from the address of a Flickr image (.../SERVER/ID_SECRET_SIZE.jpg)."""
    match = re.search(r"flickr\.com/\d+/(\d+)_", url)
    return f"https://www.flickr.com/photo.gne?id={match[1]}" if match else ""


def _open_images(record: dict[str, Any], licence: str) -> tuple[Truth, Credit]:
    """Boxes x0 y0 x1 y1 of vehicles."""
    boxes = []
    for t in record["truth"]:
        x0, y0, x1, y1 = map(float, t["bbox"])
        boxes.append(TrueBox((x0, y0, x1, y1), str(t["category"]).lower()))
    number = str(record["openimages_id"])
    credit = {
        "id": number,
        "author": "",
        "url": f"https://storage.googleapis.com/openimages/web/visualizer/index.html?id={number}",
        "licence": "CC BY 2.0 (image), CC BY 4.0 (boxes: Google LLC, Open Images)",
    }
    return Truth(tuple(boxes), frozenset(OPEN_IMAGES_CLASSES)), credit
