"""Frames of Scalabel / BDD100K JSON: boxes, lane lines with a role, image attributes. See DATA.md."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from perception_models.data.files import DataError, finite, malformed_as_data_error, read_json
from perception_models.data.labels import (
    LIGHT,
    LIGHT_STATES,
    LINE_COLORS,
    LINE_TYPES,
    OBJECTS,
    ROLES,
    SCENE,
    UNKNOWN,
    ClassNames,
    index,
)
from perception_models.data.sample import Boxes, BoxRow, Lane, boxes_from_rows

Frame = dict[str, Any]

# Ignored in BDD100K's own evaluation.
IGNORED = {"other person": "pedestrian", "other vehicle": "car", "trailer": "truck"}
LIGHT_COLORS = {"R": "red", "Y": "yellow", "G": "green", "NA": "none"}  # as written by BDD100K since 2020


def read_frames(path: Path, images: Collection[str]) -> dict[str, Frame]:
    """Frames by image name, from a JSON list of frames (or Scalabel's {"frames": [...]}).

    images  names of the images; DataError if the file labels none of them
    """
    data = read_json(path)
    frames = data.get("frames") if isinstance(data, dict) else data
    if not isinstance(frames, list) or not all(isinstance(f, dict) and isinstance(f.get("name"), str) for f in frames):
        raise DataError(f"{path}: expected a list of frames with a name; see perception_models/DATA.md")
    named = {frame["name"]: frame for frame in frames}
    if named and named.keys().isdisjoint(images):
        labelled, there = next(iter(named)), next(iter(images), "none")
        raise DataError(f"{path}: labels no existing image: it names {labelled!r}, the images are named {there!r}")
    return named


def boxes_from_frame(frame: Frame, path: Path, names: ClassNames = ClassNames()) -> Boxes:
    """Every label with a box2d but those left out; objects of BDD100K's ignored categories become ignored boxes."""
    where = f"{path}: frame {frame['name']}"
    with malformed_as_data_error(where):
        labels = frame.get("labels") or ()
        boxes = [_box(label, where, names) for label in labels if label.get("box2d") is not None]
        return boxes_from_rows([box for box in boxes if box is not None])


def unlabelled_classes(frame: Frame, path: Path) -> frozenset[int]:
    """Indices of the categories that a frame lists as `unlabelled`: its boxes are incomplete for them."""
    names = frame.get("unlabelled") or []
    if not isinstance(names, list) or not set(names) <= set(OBJECTS):
        raise DataError(f"{path}: frame {frame['name']}: unlabelled={names}: expected some of {', '.join(OBJECTS)}")
    return frozenset(OBJECTS.index(name) for name in names)


def _box(label: dict[str, Any], where: str, names: ClassNames) -> BoxRow | None:
    """None if its class is left out on purpose."""
    attributes = label.get("attributes") or {}
    name: Any = label.get("category")
    class_id = names(IGNORED.get(name, name) if names(name) == UNKNOWN else name)
    if class_id == UNKNOWN:
        if not names.unknown([name]):
            return None
        raise DataError(
            f"{where}: unknown category {str(name)[:60]!r}, expected one of {', '.join(OBJECTS)}; or give the option "
            "classes: {name: one of these, ignore: [names]}"
        )
    box = checked_box((label["box2d"].get(side) for side in ("x1", "y1", "x2", "y2")), f"{where}: {label.get('id')}")
    color = attributes.get("trafficLightColor")
    state = index(LIGHT_STATES, LIGHT_COLORS.get(str(color), color)) if class_id == LIGHT else UNKNOWN
    flagged = any(values.get(flag) for values in (label, attributes) for flag in ("ignored", "crowd"))
    return box, class_id, name in IGNORED or flagged, state


def checked_box(sides: Iterable[Any], where: str) -> list[float]:
    """x1 y1 x2 y2 as finite numbers in this order; DataError begins with `where`."""
    values = list(sides)
    try:
        box = [float(side) for side in values]
    except (TypeError, ValueError):
        box = []
    if len(box) != 4 or not all(map(math.isfinite, box)) or box[0] > box[2] or box[1] > box[3]:
        raise DataError(f"{where}: expected a box x1 y1 x2 y2 with x1 <= x2 and y1 <= y2, got {values}")
    return box


def lanes_from_frame(frame: Frame, path: Path) -> list[Lane]:
    """Every lane line; its position follows from `role`, 0 without one."""
    where = f"{path}: frame {frame['name']}"
    with malformed_as_data_error(where):
        return [_lane(label, where) for label in frame.get("labels") or () if label.get("poly2d")]


def _lane(label: dict[str, Any], where: str) -> Lane:
    attributes = label.get("attributes") or {}
    role: Any = attributes.get("role")
    try:
        points = [vertex for part in label["poly2d"] for vertex in part["vertices"]]
        lane = Lane(finite(points), ROLES.get(role, 0), *line_appearance(attributes))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where}: lane {label.get('id')} has no usable vertices: {error}") from error
    if len(lane.points) < 2:
        raise DataError(f"{where}: lane {label.get('id')} has fewer than two vertices")
    return lane


def line_appearance(attributes: dict[str, Any]) -> tuple[int, int]:
    """(line_type, line_color) from lineType and lineColor, or else from BDD100K's laneTypes and laneStyle."""
    if "lineType" in attributes:
        return index(LINE_TYPES, attributes["lineType"]), index(LINE_COLORS, attributes.get("lineColor"))
    parts = str(attributes.get("laneTypes", "")).split()
    if parts == ["road", "curb"]:
        return LINE_TYPES.index("curb"), UNKNOWN
    if len(parts) != 2 or parts[0] not in ("single", "double"):
        return UNKNOWN, UNKNOWN
    style = str(attributes.get("laneStyle"))
    return index(LINE_TYPES, style if parts[0] == "single" else f"double_{style}"), index(LINE_COLORS, parts[1])


def scene_from_frame(frame: Frame, path: Path) -> tuple[dict[str, int], dict[str, str]]:
    """(label indices, texts) of the image attributes."""
    with malformed_as_data_error(f"{path}: frame {frame.get('name')}"):
        texts = {name: str(value) for name, value in (frame.get("attributes") or {}).items()}
    return {name: index(labels, texts.get(name)) for name, labels in SCENE.items()}, texts
