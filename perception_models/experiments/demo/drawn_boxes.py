"""Drawn boxes of signs, lights and people among the labels of an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from camera_perception.core.boxes import iou_matrix

DRAWN = ("traffic sign", "traffic light")  # categories of which all clear boxes are drawn
PEOPLE = ("pedestrian", "rider")  # drawn where detectors left open which of them it is
SAME, SAME_PERSON = 0.3, 0.7  # IoU above which a drawn box replaces a labelled one
LOWEST, NARROWEST = 6, 3  # pixels; smaller boxes are ignored (DATA.md)

Boxes = list[dict[str, Any]]


def still_unlabelled(frame: dict[str, Any], drawn: dict[str, Any]) -> list[str]:
    """Categories without complete boxes: those of the frame but for DRAWN, and what the drawing leaves out itself.

    With them, what a network finds elsewhere is no error: it learns, and is calibrated, to find signs everywhere.
    """
    return sorted({*frame.get("unlabelled", ())} - {*DRAWN} | {*drawn.get("unlabelled", ())})


def with_boxes(frame: dict[str, Any], boxes: Boxes, size: tuple[int, int]) -> list[dict[str, Any]]:
    """The labels of the frame and the drawn boxes, which replace labelled ones of the same object but keep its colour.

    size  (height, width) of the image, pixels
    """
    labels = [label for label in frame.get("labels") or () if _attributes(label).get("source") != "drawn"]
    drawn = [_label(f"{Path(frame['name']).stem}-drawn-{k}", box, labels, size) for k, box in enumerate(boxes)]
    return [label for label in labels if not any(_same(label, each) for each in drawn)] + drawn


def _label(name: str, drawn: dict[str, Any], labels: Boxes, size: tuple[int, int]) -> dict[str, Any]:
    corners = [round(float(value), 1) for value in np.array(drawn["box"]) * [*size[::-1], *size[::-1]] / 1000]
    label = {"id": name, "category": drawn["category"], "box2d": dict(zip(("x1", "y1", "x2", "y2"), corners))}
    colors = {_attributes(each).get("trafficLightColor") for each in labels if _same(each, label)} - {None}
    attributes: dict[str, Any] = {"source": "drawn"} | ({"trafficLightColor": colors.pop()} if len(colors) == 1 else {})
    if corners[3] - corners[1] < LOWEST or corners[2] - corners[0] < NARROWEST:
        attributes["ignored"] = True
    return label | {"attributes": attributes}


def _attributes(label: dict[str, Any]) -> dict[str, Any]:
    return label.get("attributes") or {}


def _same(label: dict[str, Any], other: dict[str, Any]) -> bool:
    people = all(each["category"] in PEOPLE for each in (label, other))
    if not people and label["category"] != other["category"]:
        return False
    corners = [np.array([[each["box2d"][side] for side in ("x1", "y1", "x2", "y2")]]) for each in (label, other)]
    return float(iou_matrix(*corners)[0, 0]) > (SAME_PERSON if people else SAME)
