"""Labels drawn over their images, and contact sheets of many images."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from perception_models.data.labels import DRIVABLE, IGNORE, LIGHT_STATES, LINE_TYPES, OBJECTS, SCENE, SEMANTIC
from perception_models.data.sample import Sample
from perception_models.data.warp import letterbox, warp

LAYERS = ("semantic", "drivable", "objects", "lanes", "scene")
# BGR. Far apart in hue for classes that are often next to each other on the road.
OBJECT_COLORS = (
    (60, 60, 255), (60, 140, 255), (255, 160, 40), (255, 80, 80), (220, 60, 180),
    (160, 60, 120), (40, 200, 255), (80, 255, 255), (90, 230, 90), (200, 255, 120),
)  # fmt: skip
MASK_COLORS = {
    "drivable": ((0, 0, 0), (80, 200, 60), (220, 170, 40)),
    "semantic": (
        (200, 170, 110), (90, 90, 160), (190, 190, 190), (130, 70, 130), (200, 60, 220), (60, 150, 80),
        (40, 220, 240), (110, 140, 170), (210, 90, 30), (60, 60, 230), (40, 130, 255),
    ),
}  # fmt: skip
POSITION_COLORS = {-3: (255, 120, 200), -2: (255, 160, 0), -1: (0, 0, 255), 0: (200, 200, 200), 1: (0, 230, 0)}
POSITION_COLORS |= {2: (0, 220, 255), 3: (180, 255, 60)}
FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_labels(sample: Sample, layers: Sequence[str] = LAYERS) -> np.ndarray:
    """(H, W, 3) uint8 BGR copy of the image with these layers of labels."""
    out = sample.image.copy()
    for layer, mask in (("semantic", sample.semantic), ("drivable", sample.drivable)):
        if layer in layers and mask is not None:
            out = draw_mask(out, mask, layer)
    if "objects" in layers and sample.boxes is not None:
        boxes = sample.boxes
        for box, class_id, ignored, state in zip(boxes.boxes, boxes.classes, boxes.ignored, boxes.light_states):
            light = f" {LIGHT_STATES[state]}" if state >= 0 else ""
            text = "ignored" if ignored else OBJECTS[class_id] + light
            draw_box(out, box, text, int(class_id), faint=bool(ignored))
    if "lanes" in layers and sample.lanes is not None:
        for line in sample.lanes.lines:
            draw_line(out, line.points, line.position, LINE_TYPES[line.line_type] if line.line_type >= 0 else "")
    if "scene" in layers:
        draw_text(out, [f"{name}: {SCENE[name][value]}" for name, value in sample.scene.items() if value >= 0])
    return out


def draw_mask(image: np.ndarray, mask: np.ndarray, layer: str) -> np.ndarray:
    """Blend a mask of ids over an image: ignored pixels are darkened, the background of "drivable" is left as is."""
    names = DRIVABLE if layer == "drivable" else SEMANTIC
    table = np.zeros((256, 3), np.uint8)
    table[: len(names)] = MASK_COLORS[layer]
    colors = cv2.LUT(cv2.merge([mask] * 3), table[None])
    blended = cv2.addWeighted(image, 0.55, colors, 0.45, 0)
    if layer == "drivable":
        cv2.copyTo(image, np.where(mask == 0, 255, 0).astype(np.uint8), blended)
    ignored = np.where(mask == IGNORE, 255, 0).astype(np.uint8)
    return cv2.copyTo(cv2.convertScaleAbs(image, alpha=1 / 3), ignored, blended)


def line_width(image: np.ndarray) -> float:
    """Pixels of a thin line; text scales with it and stays legible when the image is shrunk for a sheet."""
    return max(1.0, float(image.shape[1]) / 480)


def draw_box(image: np.ndarray, box: np.ndarray, text: str, class_id: int, faint: bool = False) -> None:
    x0, y0, x1, y1 = np.rint(box).astype(int).tolist()
    color = (128, 128, 128) if faint else OBJECT_COLORS[class_id % len(OBJECT_COLORS)]
    width = line_width(image)
    cv2.rectangle(image, (x0, y0), (x1, y1), color, round(width))
    if y1 - y0 >= 18 * width:  # text would hide smaller boxes
        origin = max(x0, 0), max(y0 - 3, round(10 * width))
        cv2.putText(image, text, origin, FONT, 0.35 * width, color, round(width), cv2.LINE_AA)


def draw_line(image: np.ndarray, points: np.ndarray, position: int, text: str) -> None:
    color, width = POSITION_COLORS.get(position, (255, 255, 255)), line_width(image)
    corners = np.rint(points).astype(np.int32)
    cv2.polylines(image, [corners], False, color, round(width), cv2.LINE_AA)
    origin = corners[len(corners) // 2].tolist()
    cv2.putText(image, f"{position:+d} {text}", origin, FONT, 0.35 * width, color, round(width), cv2.LINE_AA)


def draw_text(image: np.ndarray, lines: Sequence[str]) -> None:
    """White text with a black outline in the top-left corner."""
    width = line_width(image)
    for row, text in enumerate(lines):
        origin = round(6 * width), round((16 + 15 * row) * width)
        for level, thickness in ((0, 3), (255, 1)):
            color = (level, level, level)
            cv2.putText(image, text, origin, FONT, 0.45 * width, color, round(thickness * width), cv2.LINE_AA)


def tile(images: Sequence[np.ndarray], columns: int, size: tuple[int, int]) -> np.ndarray:
    """Images letterboxed to (height, width) each, in rows of `columns`."""
    tiles = [
        warp(Sample("", image), letterbox((image.shape[0], image.shape[1]), size), size, pad=30).image
        for image in images
    ]
    tiles += [np.full((*size, 3), 30, np.uint8)] * (-len(tiles) % columns)
    return np.vstack([np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)])
