"""Labels drawn on their pictures, and many pictures on one sheet."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from perception_models.data.labels import DRIVABLE, IGNORE, LIGHT_STATES, LINE_TYPES, OBJECTS, SCENE, SEMANTIC
from perception_models.data.sample import Sample
from perception_models.data.warp import letterbox, warp

KINDS = ("semantic", "drivable", "objects", "lanes", "scene")
# BGR. Far apart in hue for neighbours on the road.
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
LINE_COLORS = {-3: (255, 120, 200), -2: (255, 160, 0), -1: (0, 0, 255), 0: (200, 200, 200), 1: (0, 230, 0)}
LINE_COLORS |= {2: (0, 220, 255), 3: (180, 255, 60)}
FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_labels(sample: Sample, kinds: Sequence[str] = KINDS) -> np.ndarray:
    """(H, W, 3) uint8 BGR copy of the image with its labels of these kinds."""
    out = sample.image.copy()
    for kind, mask in (("semantic", sample.semantic), ("drivable", sample.drivable)):
        if kind in kinds and mask is not None:
            out = draw_mask(out, mask, kind)
    if "objects" in kinds and sample.boxes is not None:
        for box, kind_, ignored, state in zip(*(vars(sample.boxes)[name] for name in vars(sample.boxes))):
            light = f" {LIGHT_STATES[state]}" if state >= 0 else ""
            draw_box(out, box, "ignored" if ignored else OBJECTS[kind_] + light, int(kind_), faint=bool(ignored))
    if "lanes" in kinds and sample.lanes is not None:
        for line in sample.lanes.lines:
            draw_line(out, line.points, line.position, LINE_TYPES[line.line_type] if line.line_type >= 0 else "")
    if "scene" in kinds:
        draw_words(out, [f"{name}: {SCENE[name][value]}" for name, value in sample.scene.items() if value >= 0])
    return out


def draw_mask(image: np.ndarray, mask: np.ndarray, kind: str) -> np.ndarray:
    """Blend a mask of ids over a picture; ignored pixels become dark, the background of "drivable" stays."""
    names = DRIVABLE if kind == "drivable" else SEMANTIC
    table = np.zeros((256, 3), np.uint8)
    table[: len(names)] = MASK_COLORS[kind]
    colors = cv2.LUT(cv2.merge([mask] * 3), table[None])
    blended = cv2.addWeighted(image, 0.55, colors, 0.45, 0)
    if kind == "drivable":
        cv2.copyTo(image, cv2.compare(mask, 0, cv2.CMP_EQ), blended)
    return cv2.copyTo(cv2.convertScaleAbs(image, alpha=1 / 3), cv2.compare(mask, IGNORE, cv2.CMP_EQ), blended)


def unit_of(image: np.ndarray) -> float:
    """How thick a thin line is: words can then still be read when the picture is shrunk to a part of a sheet."""
    return max(1.0, image.shape[1] / 480)


def draw_box(image: np.ndarray, box: np.ndarray, text: str, kind: int, faint: bool = False) -> None:
    x0, y0, x1, y1 = np.rint(box).astype(int).tolist()
    color = (128, 128, 128) if faint else OBJECT_COLORS[kind % len(OBJECT_COLORS)]
    unit = unit_of(image)
    cv2.rectangle(image, (x0, y0), (x1, y1), color, round(unit))
    if y1 - y0 >= 18 * unit:  # the words of small boxes would hide them
        place = max(x0, 0), max(y0 - 3, round(10 * unit))
        cv2.putText(image, text, place, FONT, 0.35 * unit, color, round(unit), cv2.LINE_AA)


def draw_line(image: np.ndarray, points: np.ndarray, position: int, text: str) -> None:
    color, unit = LINE_COLORS.get(position, (255, 255, 255)), unit_of(image)
    corners = np.rint(points).astype(np.int32)
    cv2.polylines(image, [corners], False, color, round(unit), cv2.LINE_AA)
    place = corners[len(corners) // 2].tolist()
    cv2.putText(image, f"{position:+d} {text}", place, FONT, 0.35 * unit, color, round(unit), cv2.LINE_AA)


def draw_words(image: np.ndarray, lines: Sequence[str]) -> None:
    unit = unit_of(image)
    for row, text in enumerate(lines):
        place = round(6 * unit), round((16 + 15 * row) * unit)
        for color, thick in ((0, 3), (255, 1)):
            cv2.putText(image, text, place, FONT, 0.45 * unit, (color,) * 3, round(thick * unit), cv2.LINE_AA)


def tile(images: Sequence[np.ndarray], columns: int, size: tuple[int, int]) -> np.ndarray:
    """Pictures letterboxed to (height, width) each, in rows of `columns`."""
    cells = [warp(Sample("", image), letterbox(image.shape[:2], size), size, pad=30).image for image in images]
    cells += [np.full((*size, 3), 30, np.uint8)] * (-len(cells) % columns)
    return np.vstack([np.hstack(cells[start : start + columns]) for start in range(0, len(cells), columns)])
