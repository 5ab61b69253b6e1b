"""BDD100K's drivable areas as masks of ours.

BDD100K's lane labels as middle lines. It draws both edges of a marking; a lane line of ours is the middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from perception_models.data.files import finite
from perception_models.data.labels import DRIVABLE, IGNORE
from perception_models.data.readers.scalabel import line_look
from perception_models.data.sample import Lane
from perception_models.data.targets import columns_at

# Byte of a lane mask, from its lowest bit: category (3 bits), background, style, direction.
CATEGORIES = (
    "crosswalk", "double other", "double white", "double yellow",
    "road curb", "single other", "single white", "single yellow",
)  # fmt: skip
BACKGROUND, DASHED, VERTICAL = 8, 16, 32
WIDEST = 0.04  # of the picture's width: two edges further apart bound a lane, not a marking
OVERLAP = 0.5
STROKE_PIXELS = 12  # smaller components of a mask are specks


def lines_from_labels(labels: Sequence[dict[str, Any]], size: tuple[int, int]) -> list[Lane]:
    """Middle lines of the labels that run along the road, in either generation of the format.

    size  (height, width) of the image in pixels
    """
    edges = []
    for label in labels:
        look = _attributes(label)
        if label.get("poly2d") and look["laneTypes"] != "crosswalk" and look["laneDirection"] != "vertical":
            points = np.concatenate([flattened(part) for part in parts_of(label["poly2d"])])
            if len(points) > 1:
                edges.append(Lane(points, 0, *line_look(look)))
    return middles(edges, size)


def _attributes(label: dict[str, Any]) -> dict[str, str]:
    """The oldest files say "lane/single white", those of 2018 laneType, those of 2020 laneTypes and the category."""
    given = label.get("attributes") or {}
    category = str(label.get("category", "")).removeprefix("lane/")
    kind = given.get("laneTypes") or given.get("laneType") or given.get("types") or category
    return {
        "laneTypes": kind,
        "laneStyle": str(given.get("laneStyle") or given.get("style") or ""),
        "laneDirection": str(given.get("laneDirection") or given.get("direction") or ""),
    }


def parts_of(poly2d: Sequence[Any]) -> list[tuple[list[Sequence[float]], str]]:
    """(vertices, types) of each part: new {"vertices", "types"} objects, or the oldest rows [u, v, "L"]."""
    if poly2d and isinstance(poly2d[0], dict):
        return [(part["vertices"], part.get("types") or "L" * len(part["vertices"])) for part in poly2d]
    return [([row[:2] for row in poly2d], "".join(row[2] for row in poly2d))]


def flattened(part: tuple[Sequence[Sequence[float]], str], steps: int = 8) -> np.ndarray:
    """(P, 2) corners; three C in a row are two control points and the end of a cubic Bezier curve."""
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
    """Middle lines of a (H, W) uint8 lane mask: its strokes are traced, then paired like polygons."""
    edges = []
    for value in np.unique(mask):
        category = CATEGORIES[value & 7]
        if value & (BACKGROUND | VERTICAL) or category == "crosswalk":
            continue
        look = line_look({"laneTypes": category, "laneStyle": "dashed" if value & DASHED else "solid"})
        edges += [Lane(points, 0, *look) for points in _strokes(mask == value)]
    return middles(edges, mask.shape)


def _strokes(here: np.ndarray) -> list[np.ndarray]:
    """(P, 2) per connected component: the mean column of every row that it touches."""
    count, ids, stats, _ = cv2.connectedComponentsWithStats(here.astype(np.uint8), connectivity=8)
    strokes = []
    for i in range(1, count):
        if stats[i, cv2.CC_STAT_AREA] >= STROKE_PIXELS and stats[i, cv2.CC_STAT_HEIGHT] > 1:
            v, u = np.nonzero(ids == i)
            rows, inverse = np.unique(v, return_inverse=True)
            strokes.append(np.stack([np.bincount(inverse, u) / np.bincount(inverse) + 0.5, rows + 0.5], 1))
    return strokes


def middles(edges: Sequence[Lane], size: tuple[int, int]) -> list[Lane]:
    """Each two edges of one look that are each other's nearest, replaced by their middle; the rest as they are."""
    rows = np.arange(0.5, size[0], max(size[0] / 360, 1))
    u = np.array([columns_at(edge, rows, size[1] + 1) for edge in edges]).reshape(-1, len(rows))
    gap = _gaps(u, edges, WIDEST * size[1])
    nearest = gap.argmin(1) if len(edges) else []
    pairs = [(i, j) for i, j in enumerate(nearest) if i < j and nearest[j] == i and np.isfinite(gap[i, j])]
    paired = {i for pair in pairs for i in pair}
    return [_middle(edges[i], u[i], u[j], rows) for i, j in pairs] + [e for i, e in enumerate(edges) if i not in paired]


def _gaps(u: np.ndarray, edges: Sequence[Lane], widest: float) -> np.ndarray:
    """(N, N) mean horizontal gap of edges that can belong to one marking, inf for all others."""
    gap = np.full((len(u), len(u)), np.inf)
    for i in range(len(u)):
        for j in range(i):
            apart = np.abs(u[i] - u[j])
            common = np.isfinite(apart)
            shorter = min(np.isfinite(u[i]).sum(), np.isfinite(u[j]).sum())
            same = (edges[i].line_type, edges[i].line_color) == (edges[j].line_type, edges[j].line_color)
            if same and common.any() and common.sum() >= OVERLAP * shorter and apart[common].max() <= widest:
                gap[i, j] = gap[j, i] = apart[common].mean()
    return gap


def _middle(look: Lane, a: np.ndarray, b: np.ndarray, rows: np.ndarray) -> Lane:
    """Mean of both where both are; thinned to a corner every few rows."""
    common = np.flatnonzero(np.isfinite(a + b))
    kept = common[np.unique(np.linspace(0, len(common) - 1, min(len(common), 40)).astype(int))]
    return Lane(np.stack([(a[kept] + b[kept]) / 2, rows[kept]], 1), 0, look.line_type, look.line_color)


OURS_FROM_2020 = np.full(256, IGNORE, np.uint8)
OURS_FROM_2020[:3] = DRIVABLE.index("road"), DRIVABLE.index("alternative"), DRIVABLE.index("background")
AREAS = {"direct": 1, "alternative": 2, "area/drivable": 1, "area/alternative": 2}


def drivable_from_mask(mask: np.ndarray) -> np.ndarray:
    """(H, W) uint8 of BDD100K's ids of 2020: 0 direct, 1 alternative, 2 background."""
    return OURS_FROM_2020[mask]


def drivable_from_labels(labels: Any, size: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8 painted from polygons; the own road over the alternatives."""
    mask = np.zeros(size, np.uint8)
    areas = []
    for label in labels:
        kind = AREAS.get((label.get("attributes") or {}).get("areaType") or label.get("category"))
        if kind and label.get("poly2d"):
            areas.append(
                (kind, [np.rint(flattened(part) - 0.5).astype(np.int32) for part in parts_of(label["poly2d"])])
            )
    for kind, polygons in sorted(areas, key=lambda area: -area[0]):
        cv2.fillPoly(mask, polygons, kind)
    return mask
