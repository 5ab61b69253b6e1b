"""Boxes of objects that something nearer covers."""

from __future__ import annotations

import numpy as np

from perception_models.data.labels import IGNORE, OBJECTS, SEMANTIC
from perception_models.data.sample import Boxes

MAX_HIDDEN = 0.7  # fraction of an object; above it is ignored
GONE = 0.95  # fraction; above its box goes
SEMANTIC_OF = {
    "pedestrian": "pedestrian", "rider": "rider", "bicycle": "rider", "motorcycle": "rider",
    "traffic light": "sign or signal", "traffic sign": "sign or signal",
}  # fmt: skip
_IDS = np.array([SEMANTIC.index(SEMANTIC_OF.get(name, "vehicle")) for name in OBJECTS])


def hide(boxes: Boxes, cover: np.ndarray, semantic: np.ndarray | None) -> Boxes:
    """The boxes after `cover` (H, W) bool was put over the image: smaller, ignored or gone where it hides them.

    semantic  (H, W) uint8 of the image before, which tells the pixels of an object from the rest of its box; or None
    """
    sides, ignored = boxes.boxes.copy(), boxes.ignored.copy()
    kept = np.ones(len(boxes), bool)
    for row in np.flatnonzero(_near(sides, cover)).tolist():
        x0, y0, x1, y1 = _whole_pixels(sides[row], cover.shape)
        area = np.s_[y0:y1, x0:x1]
        covered = cover[area]
        if not covered.any():
            continue
        own = _own_pixels(None if semantic is None else semantic[area], int(boxes.classes[row]), covered.shape)
        hidden = (own & covered).sum() / own.sum()
        kept[row] = hidden <= GONE
        ignored[row] |= hidden > MAX_HIDDEN
        if 0 < hidden <= GONE:
            sides[row] = _shrunk(sides[row], (x0, y0), own, covered)
    return Boxes(sides, boxes.classes, ignored, boxes.light_states)[kept]


def _near(boxes: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """(N,) bool: boxes that share pixels with the rectangle around the cover."""
    columns, rows = np.flatnonzero(cover.any(0)), np.flatnonzero(cover.any(1))
    if not len(columns):
        return np.zeros(len(boxes), bool)
    u, v = (columns[0], columns[-1] + 1), (rows[0], rows[-1] + 1)
    near: np.ndarray = (
        (boxes[:, 0] < u[1]) & (boxes[:, 2] > u[0]) & (boxes[:, 1] < v[1]) & (boxes[:, 3] > v[0])
    )  # fmt: skip
    return near


def _whole_pixels(box: np.ndarray, size: tuple[int, ...]) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = np.rint(box).astype(int).tolist()
    x0, y0 = min(max(x0, 0), size[1] - 1), min(max(y0, 0), size[0] - 1)
    return x0, y0, max(min(x1, size[1]), x0 + 1), max(min(y1, size[0]), y0 + 1)


def _own_pixels(semantic: np.ndarray | None, class_id: int, shape: tuple[int, ...]) -> np.ndarray:
    """(h, w) bool in a box; all of them where the map does not show the object."""
    if semantic is not None:
        own: np.ndarray = semantic == _IDS[class_id]
        if own.mean() > 0.1:
            return np.asarray(own | ((semantic == IGNORE) & (own.mean() < 0.3)))
    return np.ones(shape, bool)


def _shrunk(box: np.ndarray, corner: tuple[int, int], own: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """The box without the columns and rows at its edges of which nothing is left."""
    left = own & ~covered
    columns, rows = np.flatnonzero(left.any(0)), np.flatnonzero(left.any(1))
    before = np.flatnonzero(own.any(0)), np.flatnonzero(own.any(1))
    u, v = corner
    out = box.copy()
    if columns[0] > before[0][0]:
        out[0] = u + columns[0]
    if rows[0] > before[1][0]:
        out[1] = v + rows[0]
    if columns[-1] < before[0][-1]:
        out[2] = u + columns[-1] + 1
    if rows[-1] < before[1][-1]:
        out[3] = v + rows[-1] + 1
    return out


def extent(box: tuple[float, ...], cover: np.ndarray) -> list[float] | None:
    """x0 y0 x1 y1 around the pixels of `cover` (H, W) inside a box; None without any."""
    x0, y0, x1, y1 = _whole_pixels(np.array(box), cover.shape)
    inside = cover[y0:y1, x0:x1]
    columns, rows = np.flatnonzero(inside.any(0)), np.flatnonzero(inside.any(1))
    if not len(columns):
        return None
    return [float(x0 + columns[0]), float(y0 + rows[0]), float(x0 + columns[-1] + 1), float(y0 + rows[-1] + 1)]
