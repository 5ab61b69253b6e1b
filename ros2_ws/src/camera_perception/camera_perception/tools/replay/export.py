"""Results in formats that other programs read: JSON lines, CSV, COCO, parquet and annotated pictures."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from camera_perception.core.errors import PerceptionError
from camera_perception.core.model_spec import ModelSpec
from camera_perception.core.types import LineColor, LineType
from camera_perception.tools.replay.metrics import Fields, lamp_text, stamp_ns_of

PICTURES = "pictures"
COLUMNS = (
    "image", "file", "stamp_ns", "camera", "class", "score", "track_id", "x0", "y0", "x1", "y1", "x_m", "y_m",
    "range_m", "vx_mps", "vy_mps", "coasted", "state",
)  # fmt: skip


class ExportError(PerceptionError):
    """A format is unknown, or its package is not installed."""


def write_tables(
    folder: Path, formats: Collection[str], frames: Sequence[Fields], names: Sequence[str], spec: ModelSpec
) -> list[str]:
    """Write each format but pictures; returns the names of the files.

    names  of the image files, "" where the images are none
    """
    written = []
    for each in formats:
        if each != PICTURES:
            file, write = WRITERS[each]
            write(folder / file, frames, names, spec)
            written.append(file)
    return written


def check_formats(formats: Sequence[str]) -> list[str]:
    """The formats, each once; ExportError for an unknown one or a missing package, before the long part."""
    known = [*WRITERS, PICTURES]
    for each in formats:
        if each not in known:
            raise ExportError(f"--write {each}: give one of {', '.join(known)}")
        if each == "parquet":
            _pyarrow()
    return [*dict.fromkeys(formats)]


def rows(frames: Sequence[Fields], names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """One row per object and per traffic light: pixels of its image, metres in base_link, None where unknown."""
    for index, (frame, name) in enumerate(zip(frames, names)):
        common = {"image": index, "file": name, "stamp_ns": stamp_ns_of(frame), "camera": frame["camera_name"]}
        for each in frame.get("objects", ()):
            yield {**common, **_box(each), "class": each["class_name"], **_metres(each), "state": None}
        for each in frame.get("traffic_lights", ()):
            metres = dict.fromkeys(("x_m", "y_m", "range_m", "vx_mps", "vy_mps"))
            light = {"class": "traffic light", "coasted": False, "state": lamp_text(each)}
            yield {**common, **_box(each), **metres, **light}


def _box(each: Fields) -> dict[str, Any]:
    half_width, half_height = each["width"] / 2, each["height"] / 2
    corners = {"x0": each["cx"] - half_width, "y0": each["cy"] - half_height}
    corners |= {"x1": each["cx"] + half_width, "y1": each["cy"] + half_height}
    return {"score": each["score"], "track_id": each["track_id"] or None, **corners}


def _metres(each: Fields) -> dict[str, Any]:
    position, velocity = each["position"], each["velocity"]
    return {
        "x_m": _known(position["x"]),
        "y_m": _known(position["y"]),
        "range_m": _known(each["range"]),
        "vx_mps": _known(velocity["x"]),
        "vy_mps": _known(velocity["y"]),
        "coasted": bool(each["coasted"]),
    }


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _jsonl(path: Path, frames: Sequence[Fields], names: Sequence[str], spec: ModelSpec) -> None:
    """One line per image: its objects, lane lines, traffic lights and scene."""
    by_image: dict[int, list[dict[str, Any]]] = {}
    for row in rows(frames, names):
        by_image.setdefault(row["image"], []).append({key: row[key] for key in COLUMNS[4:]})
    with path.open("w", encoding="utf-8") as stream:
        for index, (frame, name) in enumerate(zip(frames, names)):
            line = {
                "image": index, "file": name, "stamp_ns": stamp_ns_of(frame), "camera": frame["camera_name"],
                "status": ("ok", "degraded", "invalid")[int(frame["status"])],
                "objects": by_image.get(index, []),
                "lanes": [_lane(lane) for lane in frame.get("lanes", ())],
                "free_distance_m": _known(frame["road"]["free_distance_ahead"]),
                "scene": {each["name"]: each["label"] for each in frame.get("scene", ())},
            }  # fmt: skip
            stream.write(json.dumps(line, default=float, allow_nan=False) + "\n")


def _lane(lane: Fields) -> dict[str, Any]:
    points = np.round(np.column_stack((lane["u"], lane["v"])).astype(float), 2).tolist()
    ground = np.round(np.column_stack((lane["x"], lane["y"])).astype(float), 3).tolist()
    kind, color = LineType(lane["line_type"]).name.lower(), LineColor(lane["color"]).name.lower()
    return {"position": lane["position"], "type": kind, "color": color, "points": points, "ground_m": ground}


def _csv(path: Path, frames: Sequence[Fields], names: Sequence[str], spec: ModelSpec) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(rows(frames, names))


def _coco(path: Path, frames: Sequence[Fields], names: Sequence[str], spec: ModelSpec) -> None:
    """Images, categories, and annotations with scores; ids start at 1."""
    ids = {name: number for number, name in enumerate(spec.classes, 1)}
    annotations = []
    for number, row in enumerate(rows(frames, names), 1):
        width, height = row["x1"] - row["x0"], row["y1"] - row["y0"]
        annotations.append({
            "id": number, "image_id": row["image"] + 1, "category_id": ids.get(row["class"], 0),
            "bbox": [round(float(value), 2) for value in (row["x0"], row["y0"], width, height)],
            "area": round(float(width * height), 2), "iscrowd": 0, "score": float(row["score"]),
        })  # fmt: skip
    images = [
        {"id": index + 1, "file_name": name or f"{index:06d}", "width": frame.get("image_width", 0),
         "height": frame.get("image_height", 0)}
        for index, (frame, name) in enumerate(zip(frames, names))
    ]  # fmt: skip
    categories = [{"id": number, "name": name} for name, number in ids.items()]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}), "utf-8")


def _parquet(path: Path, frames: Sequence[Fields], names: Sequence[str], spec: ModelSpec) -> None:
    pa = _pyarrow()
    kinds = {"image": pa.int64(), "stamp_ns": pa.int64(), "track_id": pa.int64(), "coasted": pa.bool_()}
    kinds |= dict.fromkeys(("file", "camera", "class", "state"), pa.string())
    schema = pa.schema([(name, kinds.get(name, pa.float64())) for name in COLUMNS])
    from pyarrow import parquet

    parquet.write_table(pa.Table.from_pylist([*rows(frames, names)], schema=schema), path)


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError:
        raise ExportError("--write parquet needs the 'pyarrow' package: pip install pyarrow, or write csv") from None
    return pyarrow


Writer = Callable[[Path, Sequence[Fields], Sequence[str], ModelSpec], None]
WRITERS: dict[str, tuple[str, Writer]] = {
    "jsonl": ("frames.jsonl", _jsonl),
    "csv": ("objects.csv", _csv),
    "coco": ("coco.json", _coco),
    "parquet": ("objects.parquet", _parquet),
}


def write_picture(folder: Path, name: str, index: int, image: np.ndarray) -> None:
    """An annotated picture: under the name of its file, else by number."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (name or f"{index:06d}.jpg")
    if not cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 92]):
        raise ExportError(f"{path} cannot be written: check that the disk is not full")
