"""Draw labels over an image, and many images on one sheet."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from driving_scenes.labels.objects import Labels

ROLES = {
    "ego_left": (255, 60, 60),
    "ego_right": (60, 255, 60),
    "left_2": (255, 0, 255),
    "right_2": (0, 255, 255),
    "left_3": (255, 160, 0),
    "right_3": (80, 120, 255),
    "other": (150, 150, 150),
}


def overlay(image: np.ndarray, labels: Labels) -> np.ndarray:
    """A copy of an RGB image with drivable areas, boxes and lane lines drawn in."""
    out = image.copy()
    for value, color in ((1, (0, 200, 60)), (2, (40, 80, 255))):
        mask = labels.drivable == value
        out[mask] = (out[mask] * 0.72 + np.array(color) * 0.28).astype(np.uint8)
    for box in labels.boxes:
        _draw_box(out, box)
    for lane in labels.lanes:
        _draw_lane(out, lane)
    return out


def _draw_box(image: np.ndarray, box: dict[str, Any]) -> None:
    b, ignored = box["box2d"], box["attributes"].get("ignored")
    left, top, right, bottom = int(b["x1"]), int(b["y1"]), int(b["x2"]) - 1, int(b["y2"]) - 1
    cv2.rectangle(image, (left, top), (right, bottom), (130, 130, 130) if ignored else (255, 230, 0), 1)
    if not ignored:
        state = box["attributes"]["trafficLightColor"]
        _write(image, box["category"][:7] + ("" if state == "none" else f" {state}"), (left, top - 2), 0.7)


def _draw_lane(image: np.ndarray, lane: dict[str, Any]) -> None:
    vertices, attributes = np.array(lane["poly2d"][0]["vertices"]), lane["attributes"]
    points = np.round(vertices * 8).astype(np.int32)  # three fractional bits
    cv2.polylines(image, [points], False, ROLES[attributes["role"]], 1, cv2.LINE_AA, 3)
    u, v = vertices[len(vertices) // 2]
    _write(image, f"{attributes['lineType']} {attributes['lineColor']}", (int(u), int(v)), 0.6)


def _write(image: np.ndarray, text: str, corner: tuple[int, int], scale: float) -> None:
    cv2.putText(image, text, corner, cv2.FONT_HERSHEY_PLAIN, scale, (255, 255, 255), 1, cv2.LINE_AA)


def contact_sheet(images: list[np.ndarray], columns: int = 4) -> np.ndarray:
    """All images in a grid, row by row."""
    blank = [np.zeros_like(images[0])] * (-len(images) % columns)
    images = [*images, *blank]
    return np.vstack([np.hstack(images[i : i + columns]) for i in range(0, len(images), columns)])
