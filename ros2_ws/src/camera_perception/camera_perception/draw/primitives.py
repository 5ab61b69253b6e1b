"""Anti-aliased drawing on a BGR canvas (H, W, 3) uint8, clipped to the canvas, and image composition."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np

from camera_perception.draw.colors import NIGHT, SHADOW, WHITE, Color
from camera_perception.lanes.image_lines import arc_lengths

FONT = cv2.FONT_HERSHEY_SIMPLEX
OVERSAMPLE = 4  # masks are drawn this much larger, then shrunk
SUBPIXEL_BITS = 4
SMALLEST_TEXT = 6  # pixels

Rect = tuple[int, int, int, int]  # left, top, right, bottom


def text_size(canvas: np.ndarray) -> int:
    """Height of capitals in pixels, in proportion to the image down to where they stay legible."""
    width: int = canvas.shape[1]
    return max(round(width * 0.0085), SMALLEST_TEXT)


@lru_cache(maxsize=512)  # 5 kB each in a large image
def text_mask(text: str, size: int) -> np.ndarray:
    """(h, w) uint8 coverage of a text with capitals of `size` pixels; h depends on size only."""
    text = text.encode("ascii", "replace").decode()
    thickness = max(round(size * OVERSAMPLE * 0.13), 1)
    scale = cv2.getFontScaleFromHeight(FONT, size * OVERSAMPLE, thickness)
    (width, _), _ = cv2.getTextSize(text, FONT, scale, thickness)
    height = round(size * 1.5) * OVERSAMPLE
    fine = np.zeros((height, -(-max(width + 2 * thickness, 1) // OVERSAMPLE) * OVERSAMPLE), np.uint8)
    cv2.putText(fine, text, (thickness, round(size * 1.12) * OVERSAMPLE), FONT, scale, 255, thickness, cv2.LINE_AA)
    size_out = fine.shape[1] // OVERSAMPLE, fine.shape[0] // OVERSAMPLE
    return cv2.resize(fine, size_out, interpolation=cv2.INTER_AREA)


@lru_cache(maxsize=128)
def round_mask(width: int, height: int, radius: int) -> np.ndarray:
    """(h, w) uint8 coverage of a rounded rectangle."""
    w, h = width * OVERSAMPLE, height * OVERSAMPLE
    r = min(radius * OVERSAMPLE, w // 2, h // 2)
    fine = np.zeros((h, w), np.uint8)
    fine[r : h - r], fine[:, r : w - r] = 255, 255
    for center in ((r, r), (w - r - 1, r), (r, h - r - 1), (w - r - 1, h - r - 1)):
        cv2.circle(fine, center, r, 255, -1)
    return cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)


def blend_mask(canvas: np.ndarray, mask: np.ndarray, left: int, top: int, color: Color, opacity: float = 1.0) -> None:
    """Blend a colour over the canvas with the coverage of a mask (h, w) uint8."""
    rows = slice(max(top, 0), max(min(top + mask.shape[0], canvas.shape[0]), 0))
    columns = slice(max(left, 0), max(min(left + mask.shape[1], canvas.shape[1]), 0))
    area = canvas[rows, columns]
    if not area.size:
        return
    cover = mask[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left, None]
    alpha = cover * np.float32(opacity / 255)
    area[...] = area + (np.array(color, np.float32) - area) * alpha + 0.5


def draw_text(canvas: np.ndarray, text: str, left: int, top: int, size: int, color: Color = WHITE) -> int:
    """Draw text from its upper left corner; returns its right end."""
    mask = text_mask(text, size)
    blend_mask(canvas, mask, left, top, color)
    width: int = mask.shape[1]
    return left + width


def label_size(text: str, size: int, dot: bool = False) -> tuple[int, int]:
    """Width and height of a label with this text."""
    height, width = text_mask(text, size).shape
    return width + round(size * (1.0 + 1.3 * dot)), height + round(size * 0.35)


def draw_label(
    canvas: np.ndarray,
    text: str,
    left: int,
    top: int,
    size: int,
    fill: Color = NIGHT,
    color: Color = WHITE,
    dot: Color | None = None,
    opacity: float = 0.82,
) -> Rect:
    """Draw text on a rounded background, with an optional coloured dot before it; returns the covered rectangle."""
    width, height = label_size(text, size, dot is not None)
    blend_mask(canvas, round_mask(width, height, round(size * 0.45)), left, top, fill, opacity)
    at = left + round(size * 0.5)
    if dot is not None:
        diameter = round(size * 0.95) | 1
        blend_mask(canvas, round_mask(diameter, diameter, diameter), at, top + (height - diameter) // 2, dot)
        at += round(size * 1.3)
    draw_text(canvas, text, at, top + round(size * 0.175), size, color)
    return left, top, left + width, top + height


def polyline(canvas: np.ndarray, points: np.ndarray, color: Color, width: float, closed: bool = False) -> None:
    """Draw a line through points (P, 2) with a precision of a sixteenth of a pixel."""
    polylines(canvas, [points], color, width, closed)


def polylines(canvas: np.ndarray, lines: list[np.ndarray], color: Color, width: float, closed: bool = False) -> None:
    """Draw several lines at once."""
    points, thickness = [_to_fixed_point(line) for line in lines], max(round(width), 1)
    cv2.polylines(canvas, points, closed, color, thickness, cv2.LINE_AA, SUBPIXEL_BITS)


def polygons(canvas: np.ndarray, outlines: list[np.ndarray], color: Color) -> None:
    """Fill areas that do not overlap."""
    if outlines:
        cv2.fillPoly(canvas, [_to_fixed_point(outline) for outline in outlines], color, cv2.LINE_AA, SUBPIXEL_BITS)


def _to_fixed_point(points: np.ndarray) -> np.ndarray:
    # Pixel centres are at .5 here and at .0 in OpenCV; clip, as distant points overflow its fixed-point numbers.
    fixed: np.ndarray = np.rint((np.clip(points, -9999, 9999) - 0.5) * (1 << SUBPIXEL_BITS)).astype(np.int32)
    return fixed.reshape(-1, 1, 2)


def dashed(points: np.ndarray, on: float, off: float) -> list[np.ndarray]:
    """Cut a line (P, 2) into dashes of length `on`, with gaps of `off`."""
    along = arc_lengths(points)
    return [_slice_line(points, along, start, start + on) for start in np.arange(0, along[-1], on + off)]


def _slice_line(points: np.ndarray, along: np.ndarray, start: float, end: float) -> np.ndarray:
    inner = along[(along > start) & (along < end)]
    wanted = np.concatenate(([start], inner, [min(end, along[-1])]))
    return np.column_stack([np.interp(wanted, along, points[:, axis]) for axis in (0, 1)])


def side_by_side(left: np.ndarray, right: np.ndarray, gap: int = 4) -> np.ndarray:
    """Place two images side by side at the height of the left one."""
    height = len(left)
    width = max(round(right.shape[1] * height / len(right)), 1)
    scaled = right if len(right) == height else cv2.resize(right, (width, height), interpolation=cv2.INTER_AREA)
    return np.hstack((left, np.full((height, gap, 3), SHADOW, np.uint8), scaled))


def image_grid(images: Sequence[np.ndarray], columns: int, tile: tuple[int, int], gap: int = 4) -> np.ndarray:
    """Arrange images row by row in tiles of (H, W), scaled to fit and centred; the rest stays dark."""
    rows = -(-len(images) // columns)
    canvas = np.full((rows * (tile[0] + gap) - gap, columns * (tile[1] + gap) - gap, 3), SHADOW, np.uint8)
    for number, image in enumerate(images):
        top, left = (number // columns) * (tile[0] + gap), (number % columns) * (tile[1] + gap)
        _draw_tile(canvas[top : top + tile[0], left : left + tile[1]], image)
    return canvas


def _draw_tile(tile: np.ndarray, image: np.ndarray) -> None:
    scale = min(tile.shape[0] / image.shape[0], tile.shape[1] / image.shape[1])
    height, width = max(round(image.shape[0] * scale), 1), max(round(image.shape[1] * scale), 1)
    top, left = (tile.shape[0] - height) // 2, (tile.shape[1] - width) // 2
    tile[top : top + height, left : left + width] = (
        image if scale == 1 else cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    )
