"""Draw lane lines with their colour, pattern and perspective."""

from __future__ import annotations

import numpy as np

from camera_perception.core.types import LaneLine, LineType
from camera_perception.draw.colors import SHADOW, Color, line_color
from camera_perception.draw.primitives import polygons
from camera_perception.lanes.image_lines import arc_lengths

# Strokes of a line: lateral offset, width, and dashes (on, off) or None, all in widths of a single line.
Stroke = tuple[float, float, tuple[float, float] | None]
DASH, DOTS = (7.0, 6.0), (1.2, 4.0)
STROKES: dict[LineType, tuple[Stroke, ...]] = {
    LineType.UNKNOWN: ((0, 0.7, None),),
    LineType.SOLID: ((0, 1, None),),
    LineType.DASHED: ((0, 1, DASH),),
    LineType.DOUBLE_SOLID: ((-0.9, 0.8, None), (0.9, 0.8, None)),
    LineType.DOUBLE_DASHED: ((-0.9, 0.8, DASH), (0.9, 0.8, DASH)),
    LineType.SOLID_DASHED: ((-0.9, 0.8, None), (0.9, 0.8, DASH)),
    LineType.DASHED_SOLID: ((-0.9, 0.8, DASH), (0.9, 0.8, None)),
    LineType.BOTTS_DOTS: ((0, 1.2, DOTS),),
    LineType.ROAD_EDGE: ((0, 0.5, None),),
    LineType.CURB: ((0, 0.5, None), (0, 1.4, (0.6, 2.0))),
}


def draw_marking(canvas: np.ndarray, line: LaneLine, points: np.ndarray, widths: np.ndarray, rim: float = 1.5) -> None:
    """Draw a lane line.

    points (P, 2) pixels of the canvas, near to far
    widths (P,)   width of a single painted line there, pixels
    rim    width of the dark rim, pixels
    """
    if len(points) < 2:
        return
    points, widths = _resample(points, widths)
    color = line_color(line.line_type, line.color)
    for extra, stroke_color in ((2 * rim, SHADOW), (0.0, color)):
        for stroke in STROKES[line.line_type]:
            _stroke(canvas, points, widths, stroke, extra, stroke_color)


def _resample(points: np.ndarray, widths: np.ndarray, count: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """Resample a line and its widths to evenly spaced points."""
    along = arc_lengths(points)
    wanted = np.linspace(0, along[-1], count)
    columns = [np.interp(wanted, along, values) for values in (points[:, 0], points[:, 1], widths)]
    return np.column_stack(columns[:2]), columns[2]


def _stroke(
    canvas: np.ndarray, points: np.ndarray, widths: np.ndarray, stroke: Stroke, extra: float, color: Color
) -> None:
    offset, stroke_width, dashes = stroke
    steps = np.hypot(*np.diff(points, axis=0).T)
    # Distance in line widths, so that dashes shrink with perspective.
    along = np.concatenate(([0.0], np.cumsum(steps / ((widths[1:] + widths[:-1]) / 2))))
    normals = _normals(points)
    center = points + (offset * widths)[:, None] * normals
    half = ((widths * stroke_width + extra) / 2)[:, None] * normals
    sides = np.hstack((center - half, center + half))
    ribbons = _pieces(sides, along, dashes)
    polygons(canvas, [np.concatenate((piece[:, :2], piece[::-1, 2:])) for piece in ribbons], color)


def _pieces(columns: np.ndarray, along: np.ndarray, dashes: tuple[float, float] | None) -> list[np.ndarray]:
    """Interpolated rows of each dash, or of the whole line; along (P,) increases."""
    starts = np.zeros(1) if dashes is None else np.arange(0, along[-1], sum(dashes))
    ends = along[-1:] if dashes is None else np.minimum(starts + dashes[0], along[-1])
    first, last = np.searchsorted(along, starts, "right"), np.searchsorted(along, ends, "left")
    inner = [along[begin:end] for begin, end in zip(first.tolist(), last.tolist())]
    at = [part for start, between, end in zip(starts, inner, ends) for part in ([start], between, [end])]
    rows = np.column_stack([np.interp(np.concatenate(at), along, column) for column in columns.T])
    return np.split(rows, np.cumsum([len(between) + 2 for between in inner])[:-1])


def _normals(points: np.ndarray) -> np.ndarray:
    """(P, 2) unit normals, pointing right when walking from near to far in the image."""
    dx, dy = np.gradient(points, axis=0).T
    normals: np.ndarray = np.column_stack((-dy, dx)) / np.maximum(np.hypot(dx, dy), 1e-9)[:, None]
    return normals


def strokes_on_road(line: LaneLine, width: float) -> list[np.ndarray]:
    """Centre lines of the painted strokes, one per dash: (P, 2) metres in base_link.

    width  of a single line, metres
    Empty for a line without ground.
    """
    if line.ground is None or len(line.ground.points) < 2:
        return []
    points = line.ground.points.astype(float)
    along = arc_lengths(points) / width
    left = _normals(points)  # right in images, whose second axis points down
    strokes = []
    for offset, _, dashes in STROKES[line.line_type]:
        center = points - offset * width * left
        strokes += _pieces(center, along, dashes)
    return strokes
