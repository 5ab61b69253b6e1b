"""Labels drawn over a rendered picture, and many pictures on one sheet."""

from __future__ import annotations

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
SEMANTIC = np.array(
    [
        (70, 130, 180),
        (120, 70, 70),
        (190, 150, 150),
        (128, 64, 128),
        (240, 60, 230),
        (70, 140, 35),
        (220, 220, 0),
        (190, 100, 60),
        (0, 30, 160),
        (220, 20, 60),
        (120, 10, 30),
    ],
    np.uint8,
)


def overlay(image: np.ndarray, labels: Labels) -> np.ndarray:
    """A copy of an RGB picture with drivable road, boxes and lane lines drawn in."""
    out = image.copy()
    for value, color in ((1, (0, 200, 60)), (2, (40, 80, 255))):
        mask = labels.drivable == value
        out[mask] = (out[mask] * 0.72 + np.array(color) * 0.28).astype(np.uint8)
    for box in labels.boxes:
        b, ignored = box["box2d"], box["attributes"].get("ignored")
        corners = (int(b["x1"]), int(b["y1"])), (int(b["x2"]) - 1, int(b["y2"]) - 1)
        cv2.rectangle(out, *corners, (130, 130, 130) if ignored else (255, 230, 0), 1)
        if not ignored:
            state = box["attributes"]["trafficLightColor"]
            text = box["category"][:7] + ("" if state == "none" else f" {state}")
            cv2.putText(
                out,
                text,
                (corners[0][0], corners[0][1] - 2),
                cv2.FONT_HERSHEY_PLAIN,
                0.7,
                (255, 255, 255),
                1,
                cv2.LINE_AA,
            )
    for lane in labels.lanes:
        vertices = np.array(lane["poly2d"][0]["vertices"])
        cv2.polylines(
            out, [np.round(vertices * 8).astype(np.int32)], False, ROLES[lane["attributes"]["role"]], 1, cv2.LINE_AA, 3
        )
        text = f"{lane['attributes']['lineType']} {lane['attributes']['lineColor']}"
        u, v = vertices[len(vertices) // 2]
        cv2.putText(out, text, (int(u), int(v)), cv2.FONT_HERSHEY_PLAIN, 0.6, (255, 255, 255), 1, cv2.LINE_AA)
    return out


def classes(labels: Labels) -> np.ndarray:
    """The semantic mask in colours."""
    palette = np.concatenate([SEMANTIC, np.zeros((245, 3), np.uint8)])
    return palette[labels.semantic]


def contact_sheet(images: list[np.ndarray], columns: int = 4) -> np.ndarray:
    """All pictures in a grid, row by row."""
    blank = [np.zeros_like(images[0])] * (-len(images) % columns)
    images = [*images, *blank]
    return np.vstack([np.hstack(images[i : i + columns]) for i in range(0, len(images), columns)])
