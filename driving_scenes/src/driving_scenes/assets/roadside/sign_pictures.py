"""Pictures of real road signs for the boards, as one texture atlas; without the folder, boards are painted.

The pictures are road signs of eight countries, in the public domain: `roadsigns_public_domain/png128` below
`../shared/data/assets`, or below the folder that DRIVING_SCENES_ASSETS names.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

FOLDER = Path(os.environ.get("DRIVING_SCENES_ASSETS", "../shared/data/assets")).absolute()
TILE, COLUMNS = 96, 32  # pixels of a tile, tiles in a row of the atlas
MOST = 896  # pictures: 28 rows
CORNERS = 16  # most corners of an outline
MOST_PIXELS = 1 << 20  # of a picture, by its header, before it is decoded
SOLID = 0.95  # least share of its convex outline that a picture fills: no crosses


@dataclass(frozen=True, slots=True)
class SignPictures:
    """Road signs in an atlas.

    atlas     (H, W, 3) uint8 RGB, tiles of TILE pixels in rows of COLUMNS
    outlines  one per tile, (K, 2) corners of the convex plate, x right and y down, 0..1 of the tile
    shapes    (N, 2) width and height relative to the larger of the two
    """

    atlas: np.ndarray
    outlines: list[np.ndarray]
    shapes: np.ndarray

    def __len__(self) -> int:
        return len(self.outlines)


@lru_cache(maxsize=1)
def sign_pictures() -> SignPictures | None:
    """The pictures of FOLDER, evenly drawn from all countries; None where there are none."""
    files = sorted((FOLDER / "roadsigns_public_domain/png128").glob("*.png"))
    if not files:
        return None
    tiles: list[np.ndarray] = []
    outlines, shapes = [], []
    for file in files[:: max(len(files) // (MOST + MOST // 4), 1)]:
        picture = _picture(file)
        found = None if picture is None else _tile(picture)
        if picture is not None and found is not None and len(tiles) < MOST:
            tiles.append(found[0])
            outlines.append(found[1])
            shapes.append(np.array(picture.shape[1::-1]) / max(picture.shape[:2]))
    rows = -(-len(tiles) // COLUMNS)
    blank = [np.zeros((TILE, TILE, 3), np.uint8)] * (rows * COLUMNS - len(tiles))
    grid = np.stack(tiles + blank).reshape(rows, COLUMNS, TILE, TILE, 3)
    return SignPictures(
        np.ascontiguousarray(grid.swapaxes(1, 2).reshape(rows * TILE, -1, 3)), outlines, np.array(shapes)
    )


def _picture(file: Path) -> np.ndarray | None:
    """(H, W, C) of a PNG; None for one that cannot be read, or whose header announces more than MOST_PIXELS."""
    data = file.read_bytes()
    if int.from_bytes(data[16:20], "big") * int.from_bytes(data[20:24], "big") > MOST_PIXELS:
        return None
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None


def _tile(picture: np.ndarray | None) -> tuple[np.ndarray, np.ndarray] | None:
    """(TILE, TILE, 3) RGB stretched to a square, its surroundings in the colour of the rim, and the outline."""
    if picture is None or picture.ndim != 3 or picture.shape[2] != 4:
        return None
    solid = (picture[..., 3] > 127).astype(np.uint8)
    contours, _ = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return None
    hull = cv2.convexHull(np.concatenate(contours))
    if solid.sum() < SOLID * cv2.contourArea(hull) or min(picture.shape[:2]) < 32:
        return None
    rim = (solid > 0) & (cv2.erode(solid, np.ones((5, 5)), borderType=cv2.BORDER_CONSTANT, borderValue=0) == 0)
    opacity = picture[..., 3:].astype(np.float32) / 255
    image = picture[..., :3] * opacity + np.median(picture[rim][:, :3], axis=0) * (1 - opacity)
    image = cv2.resize(image, (TILE, TILE), interpolation=cv2.INTER_AREA)[..., ::-1]
    return image.astype(np.uint8), _simplified(hull[:, 0]) / (picture.shape[1], picture.shape[0])


def _simplified(hull: np.ndarray) -> np.ndarray:
    """The corners (K, 2) of a convex hull of pixels that lie furthest out in CORNERS directions.

    They run counter-clockwise as seen, which is clockwise in x right, y down.
    """
    angle = np.arange(CORNERS) * (2 * np.pi / CORNERS) + 0.1
    furthest = (hull @ np.array([np.cos(angle), -np.sin(angle)])).argmax(0)
    return np.asarray(hull[furthest[np.sort(np.unique(furthest, return_index=True)[1])]], float) + 0.5
