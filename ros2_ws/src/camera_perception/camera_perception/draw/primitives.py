"""Anti-aliased marks on a BGR canvas (H, W, 3) uint8. Everything may lie partly or wholly outside.

Pictures put together to one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np

from camera_perception.draw.colors import NIGHT, SHADOW, WHITE, Color

FONT, FINER, SHIFT = cv2.FONT_HERSHEY_SIMPLEX, 4, 4

Rect = tuple[int, int, int, int]  # left, top, right, bottom


def text_size(canvas: np.ndarray) -> int:
    """Height of capitals in pixels, to be read at any size of the picture."""
    return max(round(canvas.shape[1] * 0.0085), 8)


@lru_cache(maxsize=2048)
def text_mask(text: str, size: int) -> np.ndarray:
    """(h, w) uint8 coverage of a text whose capitals are `size` pixels high; h is the same for all texts."""
    text = text.encode("ascii", "replace").decode()
    thickness = max(round(size * FINER * 0.13), 1)
    scale = cv2.getFontScaleFromHeight(FONT, size * FINER, thickness)
    (width, _), _ = cv2.getTextSize(text, FONT, scale, thickness)
    height = round(size * 1.5) * FINER
    fine = np.zeros((height, -(-max(width + 2 * thickness, 1) // FINER) * FINER), np.uint8)
    cv2.putText(fine, text, (thickness, round(size * 1.12) * FINER), FONT, scale, 255, thickness, cv2.LINE_AA)
    return cv2.resize(fine, (fine.shape[1] // FINER, fine.shape[0] // FINER), interpolation=cv2.INTER_AREA)


@lru_cache(maxsize=512)
def round_mask(width: int, height: int, radius: int) -> np.ndarray:
    """(h, w) uint8 coverage of a rectangle with round corners."""
    w, h, r = width * FINER, height * FINER, min(radius * FINER, width * FINER // 2, height * FINER // 2)
    fine = np.zeros((h, w), np.uint8)
    fine[r : h - r], fine[:, r : w - r] = 255, 255
    for center in ((r, r), (w - r - 1, r), (r, h - r - 1), (w - r - 1, h - r - 1)):
        cv2.circle(fine, center, r, 255, -1)
    return cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)


def stamp(canvas: np.ndarray, mask: np.ndarray, left: int, top: int, color: Color, opacity: float = 1.0) -> None:
    """Lay a colour over the canvas where the mask (h, w) uint8 is."""
    rows = slice(max(top, 0), max(min(top + mask.shape[0], canvas.shape[0]), 0))
    columns = slice(max(left, 0), max(min(left + mask.shape[1], canvas.shape[1]), 0))
    area = canvas[rows, columns]
    if not area.size:
        return
    cover = mask[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left, None]
    share = cover * np.float32(opacity / 255)
    area[...] = area + (np.array(color, np.float32) - area) * share + 0.5


def write(canvas: np.ndarray, text: str, left: int, top: int, size: int, color: Color = WHITE) -> int:
    """Text with its upper left corner there; returns its right end."""
    mask = text_mask(text, size)
    stamp(canvas, mask, left, top, color)
    return left + mask.shape[1]


def chip_size(text: str, size: int, dot: bool = False) -> tuple[int, int]:
    """Width and height of a chip with that text."""
    height, width = text_mask(text, size).shape
    return width + round(size * (1.0 + 1.3 * dot)), height + round(size * 0.35)


def chip(
    canvas: np.ndarray,
    text: str,
    left: int,
    top: int,
    size: int,
    fill: Color = NIGHT,
    ink: Color = WHITE,
    dot: Color | None = None,
    opacity: float = 0.82,
) -> Rect:
    """Text on a rounded ground, with a coloured dot before it when one is given; returns the ground it covers."""
    width, height = chip_size(text, size, dot is not None)
    stamp(canvas, round_mask(width, height, round(size * 0.45)), left, top, fill, opacity)
    at = left + round(size * 0.5)
    if dot is not None:
        across = round(size * 0.95) | 1
        stamp(canvas, round_mask(across, across, across), at, top + (height - across) // 2, dot)
        at += round(size * 1.3)
    write(canvas, text, at, top + round(size * 0.175), size, ink)
    return left, top, left + width, top + height


def polyline(canvas: np.ndarray, points: np.ndarray, color: Color, width: float, closed: bool = False) -> None:
    """A line through points (P, 2), placed to a sixteenth of a pixel."""
    polylines(canvas, [points], color, width, closed)


def polylines(canvas: np.ndarray, lines: list[np.ndarray], color: Color, width: float, closed: bool = False) -> None:
    """Several lines at once."""
    cv2.polylines(canvas, [_fixed(line) for line in lines], closed, color, max(round(width), 1), cv2.LINE_AA, SHIFT)


def polygons(canvas: np.ndarray, outlines: list[np.ndarray], color: Color) -> None:
    """Filled areas that do not overlap."""
    if outlines:
        cv2.fillPoly(canvas, [_fixed(outline) for outline in outlines], color, cv2.LINE_AA, SHIFT)


def _fixed(points: np.ndarray) -> np.ndarray:
    # Pixel middles are at .5 for us and at .0 for OpenCV; numbers far outside overflow its fixed point.
    return np.rint((np.clip(points, -9999, 9999) - 0.5) * (1 << SHIFT)).astype(np.int32).reshape(-1, 1, 2)


def dashed(points: np.ndarray, on: float, off: float) -> list[np.ndarray]:
    """Cut a line (P, 2) into dashes of that length."""
    along = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))))
    return [_part(points, along, start, start + on) for start in np.arange(0, along[-1], on + off)]


def _part(points: np.ndarray, along: np.ndarray, start: float, end: float) -> np.ndarray:
    inner = along[(along > start) & (along < end)]
    wanted = np.concatenate(([start], inner, [min(end, along[-1])]))
    return np.column_stack([np.interp(wanted, along, points[:, axis]) for axis in (0, 1)])


def side_by_side(left: np.ndarray, right: np.ndarray, gap: int = 4) -> np.ndarray:
    """Two pictures in the height of the left one."""
    height = len(left)
    width = max(round(right.shape[1] * height / len(right)), 1)
    scaled = right if len(right) == height else cv2.resize(right, (width, height), interpolation=cv2.INTER_AREA)
    return np.hstack((left, np.full((height, gap, 3), SHADOW, np.uint8), scaled))


def stacked(pictures: Sequence[np.ndarray], columns: int, tile: tuple[int, int], gap: int = 4) -> np.ndarray:
    """Pictures row by row in tiles of (H, W), each as large as fits in the middle of its tile; the rest stays dark."""
    rows = -(-len(pictures) // columns)
    canvas = np.full((rows * (tile[0] + gap) - gap, columns * (tile[1] + gap) - gap, 3), SHADOW, np.uint8)
    for number, picture in enumerate(pictures):
        top, left = (number // columns) * (tile[0] + gap), (number % columns) * (tile[1] + gap)
        _put(canvas[top : top + tile[0], left : left + tile[1]], picture)
    return canvas


def _put(tile: np.ndarray, picture: np.ndarray) -> None:
    scale = min(tile.shape[0] / picture.shape[0], tile.shape[1] / picture.shape[1])
    height, width = max(round(picture.shape[0] * scale), 1), max(round(picture.shape[1] * scale), 1)
    top, left = (tile.shape[0] - height) // 2, (tile.shape[1] - width) // 2
    tile[top : top + height, left : left + width] = (
        picture if scale == 1 else cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    )
