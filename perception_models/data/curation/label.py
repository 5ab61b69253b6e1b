"""perception-models label: makes a labelled folder from real images, by public detectors and existing labels."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from perception_models.data.curation.agreement import Rules, fuse
from perception_models.data.curation.boxes import Box, Truth
from perception_models.data.curation.inspect import count, write
from perception_models.data.curation.road import RoadTeacher
from perception_models.data.curation.rules import Label, label_objects
from perception_models.data.curation.sources import LICENCE_FILES, Picture, open_source
from perception_models.data.curation.teachers import Teacher
from perception_models.data.curation.views import find_in_views
from perception_models.data.files import DataError, read_image
from perception_models.data.readers.folder import LabelledFolder

KEPT_LABELS = ("lane/lane.json", "drivable/masks", "sem_seg/masks")  # of a source that has them
STREET = ("car", "truck", "bus", "motorcycle", "traffic light")  # objects that are found on streets
CREDIT_COLUMNS = ("file_name", "id", "author", "url", "licence")


@dataclass(frozen=True)
class LabelConfig:
    """How to label.

    rules  when detectors agree
    widen  factor by which images are stretched horizontally, for images squeezed to squares
    limit  maximum number of images; None: all
    """

    rules: Rules = Rules()
    widen: float = 1.0
    limit: int | None = None


def label(
    source: Path,
    out: Path,
    teachers: Sequence[Teacher],
    config: LabelConfig = LabelConfig(),
    road: RoadTeacher | None = None,
) -> Counter[str]:
    """Write the labelled folder `out`; returns the number of labels by category and of ignored ones by reason.

    Finished images are skipped, so an interrupted run continues where it was. `road` adds drivable masks by day.
    """
    pictures = open_source(source)[: config.limit]
    _check_settings(source, out, config)
    done = finished(out / "frames.jsonl")
    (out / "images").mkdir(parents=True, exist_ok=True)
    with (out / "frames.jsonl").open("a", encoding="utf-8") as frames:
        for picture in tqdm(pictures, desc=out.name, unit="image", disable=None):
            if picture.path.name not in done:
                done[picture.path.name] = _label_picture(picture, out, teachers, config, road)
                frames.write(json.dumps(done[picture.path.name]) + "\n")
                frames.flush()
    _keep_labels(source, out)
    write_credits(pictures, source, out)
    _write_frames(out, [done[picture.path.name] for picture in pictures])
    _draw_sheet(out)
    return count_labels(done.values())


def _check_settings(source: Path, out: Path, config: LabelConfig) -> None:
    """DataError if the folder was made from other images or by other rules."""
    settings = {"source": source.resolve().name, **asdict(replace(config, limit=None))}
    path = out / "settings.json"
    if path.exists() and json.loads(path.read_text("utf-8")) != settings:
        raise DataError(f"{out}: was made with other settings, see settings.json; choose another folder or remove it")
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(settings, indent=1), "utf-8")


def finished(path: Path) -> dict[str, dict[str, Any]]:
    """Frames written so far, one JSON object a line, by image name; an incomplete last line is removed."""
    lines = path.read_text("utf-8").splitlines(keepends=True) if path.exists() else []
    if lines and not lines[-1].endswith("\n"):
        path.write_text("".join(lines[:-1]), "utf-8")
    frames = [json.loads(line) for line in lines if line.endswith("\n")]
    return {frame["name"]: frame for frame in frames}


def _label_picture(
    picture: Picture, out: Path, teachers: Sequence[Teacher], config: LabelConfig, road: RoadTeacher | None
) -> dict[str, Any]:
    """Copy the image and return its frame."""
    image, truth = read_image(picture.path), picture.truth
    target = out / "images" / picture.path.name
    if config.widen == 1.0:
        shutil.copyfile(picture.path, target)
    else:
        image, truth = widened(image, truth, config.widen)
        cv2.imwrite(str(target), image, [cv2.IMWRITE_JPEG_QUALITY, 95])
    labels = label_objects(fuse(find_in_views(list(teachers), image), config.rules), truth, image)
    if (
        road is not None
        and (mask := road.drivable(image, [label.box for label in labels], _street(labels))) is not None
    ):
        masks = out / "labels/drivable/masks"
        masks.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(masks / f"{picture.path.stem}.png"), mask)
    return frame(picture.path.name, labels, truth)


def _street(labels: Sequence[Label]) -> bool:
    """Whether a street is to be expected: real pictures of people may show a kitchen."""
    return any(label.name in STREET and not label.ignore_reason for label in labels)


def widened(image: np.ndarray, truth: Truth, factor: float) -> tuple[np.ndarray, Truth]:
    """The image stretched horizontally, with its boxes."""
    width = round(image.shape[1] * factor)
    scale = width / image.shape[1]
    boxes = tuple(replace(t, box=(t.box[0] * scale, t.box[1], t.box[2] * scale, t.box[3])) for t in truth.boxes)
    stretched = cv2.resize(image, (width, image.shape[0]), interpolation=cv2.INTER_CUBIC)
    return stretched, replace(truth, boxes=boxes)


def frame(name: str, labels: Sequence[Label], truth: Truth) -> dict[str, Any]:
    """A frame of det.json. No detector knows traffic signs: they are unlabelled unless people drew them."""
    unlabelled = [] if "traffic sign" in truth.classes else ["traffic sign"]
    rows = [_row(f"{Path(name).stem}-{number}", label) for number, label in enumerate(labels)]
    return {"name": name, "unlabelled": unlabelled, "labels": rows}


def _row(number: str, label: Label) -> dict[str, Any]:
    attributes: dict[str, Any] = {"source": label.source}
    if label.source == "teachers":
        attributes |= {"score": round(label.score, 3), "views": label.views}
    if label.state:
        attributes["trafficLightColor"] = label.state
    if label.ignore_reason:
        attributes |= {"ignored": True, "reason": label.ignore_reason}
    return {"id": number, "category": label.category, "attributes": attributes, "box2d": _sides(label.box)}


def _sides(box: Box) -> dict[str, float]:
    return {side: round(value, 1) for side, value in zip(("x1", "y1", "x2", "y2"), box)}


def _keep_labels(source: Path, out: Path) -> None:
    """Copy lane lines and masks that the source has; existing masks win over those of the road network."""
    for part in KEPT_LABELS:
        path, target = source / "labels" / part, out / "labels" / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, target, dirs_exist_ok=True)
        elif path.is_file():
            shutil.copyfile(path, target)


def write_credits(pictures: Sequence[Picture], source: Path, out: Path) -> None:
    """CREDITS.csv: who is to be named for each image; the licence texts of the source go beside it."""
    with (out / "CREDITS.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, CREDIT_COLUMNS)
        rows.writeheader()
        rows.writerows({"file_name": picture.path.name, **picture.credit} for picture in pictures)
    for name in LICENCE_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, out / name)


def _write_frames(out: Path, frames: Sequence[dict[str, Any]]) -> None:
    folder = out / "labels/det_20"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "det.json").write_text(json.dumps(frames, indent=1), "utf-8")


def _draw_sheet(out: Path) -> None:
    """counts.json and the contact sheet OUT/sheet/NAME.png."""
    write(out / "sheet", out.name, *count(LabelledFolder(out), "sheet"))


def count_labels(frames: Any) -> Counter[str]:
    """Labels by category; ignored ones by reason."""
    counts: Counter[str] = Counter()
    for each in frames:
        for row in each["labels"]:
            reason = row["attributes"].get("reason")
            counts[f"ignored: {reason}" if reason else row["category"]] += 1
    return counts
