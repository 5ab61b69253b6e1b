"""Centre lines from BDD100K's lane labels, which outline both edges of a marking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from perception_models.data.files import finite
from perception_models.data.readers.scalabel import line_appearance
from perception_models.data.sample import Lane
from perception_models.data.targets import columns_at

# Byte of a lane mask, from its lowest bit: category (3 bits), background, style, direction.
CATEGORIES = (
    "crosswalk", "double other", "double white", "double yellow",
    "road curb", "single other", "single white", "single yellow",
)  # fmt: skip
BACKGROUND, DASHED, VERTICAL = 8, 16, 32
MAX_WIDTH = 0.04  # of the image width: two edges further apart bound a lane, not a marking
OVERLAP = 0.5  # of the shorter edge: rows that two edges of one marking must share
MIN_STROKE_PIXELS = 12  # smaller components of a mask are specks


def lines_from_labels(labels: Sequence[dict[str, Any]], size: tuple[int, int]) -> list[Lane]:
    """Centre lines of the labels that run along the road, in any generation of the format.

    size  (height, width) of the image in pixels
    """
    edges = []
    for label in labels:
        attributes = _attributes(label)
        if label.get("poly2d") and attributes["laneTypes"] != "crosswalk" and attributes["laneDirection"] != "vertical":
            points = np.concatenate([flatten(part) for part in parts_of(label["poly2d"])])
            if len(points) > 1:
                edges.append(Lane(points, 0, *line_appearance(attributes)))
    return merge_edges(edges, size)


def _attributes(label: dict[str, Any]) -> dict[str, str]:
    """In the oldest files the type is the category "lane/single white", in 2018 laneType, in 2020 laneTypes."""
    found = label.get("attributes") or {}
    category = str(label.get("category", "")).removeprefix("lane/")
    lane_type = found.get("laneTypes") or found.get("laneType") or found.get("types") or category
    return {
        "laneTypes": lane_type,
        "laneStyle": str(found.get("laneStyle") or found.get("style") or ""),
        "laneDirection": str(found.get("laneDirection") or found.get("direction") or ""),
    }


def parts_of(poly2d: Sequence[Any]) -> list[tuple[list[Sequence[float]], str]]:
    """(vertices, types) of each part: new {"vertices", "types"} objects, or the oldest rows [u, v, "L"]."""
    if poly2d and isinstance(poly2d[0], dict):
        return [(part["vertices"], part.get("types") or "L" * len(part["vertices"])) for part in poly2d]
    return [([row[:2] for row in poly2d], "".join(row[2] for row in poly2d))]


def flatten(part: tuple[Sequence[Sequence[float]], str], steps: int = 8) -> np.ndarray:
    """(P, 2) corners of a polyline; three C in a row are two control points and the end of a cubic Bezier curve."""
    vertices, types = finite(part[0]), part[1]
    points, i = [vertices[0]], 1
    while i < len(vertices):
        if types[i] == "C" and i + 2 < len(vertices):
            t = np.linspace(0, 1, steps + 1)[1:, None]
            a, b, c, d = points[-1], *vertices[i : i + 3]
            points.extend((1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d)
            i += 3
        else:
            points.append(vertices[i])
            i += 1
    return np.array(points)


def lines_from_mask(mask: np.ndarray) -> list[Lane]:
    """Centre lines of a (H, W) uint8 lane mask: its strokes are traced and paired like polygons."""
    edges = []
    for value in np.unique(mask):
        category = CATEGORIES[value & 7]
        if value & (BACKGROUND | VERTICAL) or category == "crosswalk":
            continue
        appearance = line_appearance({"laneTypes": category, "laneStyle": "dashed" if value & DASHED else "solid"})
        edges += [Lane(points, 0, *appearance) for points in _strokes(mask == value)]
    return merge_edges(edges, (mask.shape[0], mask.shape[1]))


def _strokes(mask: np.ndarray) -> list[np.ndarray]:
    """(P, 2) per connected component of a bool mask: its mean column in every row."""
    count, ids, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    strokes = []
    for i in range(1, count):
        if stats[i, cv2.CC_STAT_AREA] >= MIN_STROKE_PIXELS and stats[i, cv2.CC_STAT_HEIGHT] > 1:
            v, u = np.nonzero(ids == i)
            rows, inverse = np.unique(v, return_inverse=True)
            strokes.append(np.stack([np.bincount(inverse, u) / np.bincount(inverse) + 0.5, rows + 0.5], 1))
    return strokes


def merge_edges(edges: Sequence[Lane], size: tuple[int, int]) -> list[Lane]:
    """Replace two edges of one type and colour that are mutual nearest neighbours by their middle."""
    rows = np.arange(0.5, size[0], max(size[0] / 360, 1))
    u = np.array([columns_at(edge, rows, size[1] + 1) for edge in edges]).reshape(-1, len(rows))
    gap = _gaps(u, edges, MAX_WIDTH * size[1])
    nearest = gap.argmin(1) if len(edges) else []
    pairs = [(i, j) for i, j in enumerate(nearest) if i < j and nearest[j] == i and np.isfinite(gap[i, j])]
    paired = {i for pair in pairs for i in pair}
    return [_middle(edges[i], u[i], u[j], rows) for i, j in pairs] + [e for i, e in enumerate(edges) if i not in paired]


def _gaps(u: np.ndarray, edges: Sequence[Lane], max_width: float) -> np.ndarray:
    """(N, N) mean horizontal gap of edges that may belong to one marking, else inf."""
    gap = np.full((len(u), len(u)), np.inf)
    for i in range(len(u)):
        for j in range(i):
            apart = np.abs(u[i] - u[j])
            common = np.isfinite(apart)
            shorter = min(np.isfinite(u[i]).sum(), np.isfinite(u[j]).sum())
            same = (edges[i].line_type, edges[i].line_color) == (edges[j].line_type, edges[j].line_color)
            if same and common.any() and common.sum() >= OVERLAP * shorter and apart[common].max() <= max_width:
                gap[i, j] = gap[j, i] = apart[common].mean()
    return gap


def _middle(edge: Lane, a: np.ndarray, b: np.ndarray, rows: np.ndarray) -> Lane:
    """Mean of two edges in their common rows, thinned to at most 40 points."""
    common = np.flatnonzero(np.isfinite(a + b))
    kept = common[np.unique(np.linspace(0, len(common) - 1, min(len(common), 40)).astype(int))]
    return Lane(np.stack([(a[kept] + b[kept]) / 2, rows[kept]], 1), 0, edge.line_type, edge.line_color)
