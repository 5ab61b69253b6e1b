"""The pictures behind rows of a store, with boxes on them."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from camera_perception.core.errors import BadImage
from camera_perception.io.bag_reader import Bag, is_bag
from camera_perception.tools.fleet.store.storage import StoreError, is_remote, open_storage
from camera_perception.tools.replay.source import camera_name, open_source

Color = tuple[int, int, int]
GREY = 190, 190, 190
FONT, FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.38


def read_images(recording: str, camera: str, numbers: Collection[int]) -> dict[int, np.ndarray]:
    """Number: (H, W, 3) uint8 BGR image of a camera of a recording; those that cannot be read are missing."""
    with tempfile.TemporaryDirectory(prefix="fleet_") as folder:
        path = Path(recording)
        if is_remote(recording):
            parent, _, name = recording.rpartition("/")
            path = open_storage(parent).fetch(name, Path(folder))
        if not path.exists():
            raise StoreError(f"{recording} does not exist here any more: mount it where it was, or replay it again")
        source, images = open_source(path, _topic(path, camera)), {}
        for number, arrival in enumerate(source.arrivals):
            if number > max(numbers, default=-1):
                break
            if number in numbers:
                try:
                    images[number] = arrival.frame().image
                except BadImage:
                    continue
    return images


def _topic(path: Path, camera: str) -> str | None:
    """The topic of a camera's short name; None for sources without topics."""
    if not is_bag(path):
        return None
    with Bag(path) as bag:
        return next((topic for topic in bag.image_topics if camera_name(topic) == camera), camera)


def draw_rows(
    image: np.ndarray, rows: Sequence[dict[str, Any]], color: Color, width: int = 640, faint: Collection[int] = ()
) -> np.ndarray:
    """The image at this width with boxes; class and score stand where there is room, at large objects first.

    faint  indices of rows that are only shown as grey boxes
    """
    scale = width / image.shape[1]
    drawn = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    labels: list[tuple[int, int, int]] = []  # left, baseline, right
    for i in sorted(range(len(rows)), key=lambda i: (i not in faint, rows[i]["y0"] - rows[i]["y1"])):
        row = rows[i]
        x0, y0, x1, y1 = (round(row[side] * scale) for side in ("x0", "y0", "x1", "y1"))
        cv2.rectangle(drawn, (x0, y0), (x1, y1), GREY if i in faint else color, 1, cv2.LINE_AA)
        if i in faint:
            continue
        text, baseline = f"{row['class_name']} {row['score']:.2f}", max(y0 - 3, 9)
        end = x0 + cv2.getTextSize(text, FONT, FONT_SCALE, 1)[0][0]
        if all(end < left or x0 > right or abs(baseline - other) > 11 for left, other, right in labels):
            labels.append((x0, baseline, end))
            for ink, thickness in (((0, 0, 0), 2), (color, 1)):
                cv2.putText(drawn, text, (x0, baseline), FONT, FONT_SCALE, ink, thickness, cv2.LINE_AA)
    return drawn


def sheet(images: Sequence[tuple[str, np.ndarray]], columns: int = 4, width: int = 320) -> np.ndarray:
    """Pictures in rows of `columns`, each under its title."""
    height = max((round(image.shape[0] * width / image.shape[1]) for _, image in images), default=width)
    tiles = [_tile(title, image, width, height) for title, image in images]
    tiles += [np.full((height + 32, width, 3), 255, np.uint8)] * (-len(tiles) % columns)
    return np.vstack([np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)])


def _tile(title: str, image: np.ndarray, width: int, height: int) -> np.ndarray:
    tile = np.full((height + 32, width, 3), 255, np.uint8)
    scale = width / image.shape[1]
    small = cv2.resize(image, (width, max(1, round(image.shape[0] * scale))), interpolation=cv2.INTER_AREA)
    tile[32 : 32 + small.shape[0]] = small[:height]
    for line, text in enumerate(title.split("\n")[:2]):
        cv2.putText(tile, text, (3, 12 + 14 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (20, 20, 20), 1, cv2.LINE_AA)
    return tile
