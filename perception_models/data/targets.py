"""Training targets of a Sample: arrays of fixed shape in network pixels, with -1, 255 or nan for "not labelled"."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perception_models.data.labels import IGNORE, OBJECTS, POSITIONS, SCENE, UNKNOWN
from perception_models.data.sample import Boxes, Lane, Lanes, Sample
from perception_models.data.warp import letterbox, warp

if TYPE_CHECKING:
    import torch

MAX_BOXES = 100
MASK_STRIDE = 4
ROW_STRIDE = 8


def targets(sample: Sample, input_size: tuple[int, int], max_boxes: int = MAX_BOXES) -> dict[str, np.ndarray]:
    """All label arrays of one image, letterboxed to (height, width) if it has another size.

    images uint8 [H,W,3]
    boxes f32 [M,4] network px, classes i64 [M] (-1 padding), ignored bool [M], light_states i64 [M] (-1 unknown),
    has_boxes bool [], known_classes bool [10] (False: class not labelled)
    drivable, semantic u8 [H/4,W/4] (255 ignore)
    lane_x f32 [6,H/8] network px (nan: no line in this row), lane_exists i64 [6] (1, 0, -1 unknown),
    lane_type, lane_color i64 [6] (-1 unknown)
    weather, scene, timeofday i64 [] (-1 ignore)
    """
    if sample.size != input_size:
        sample = warp(sample, letterbox(sample.size, input_size), input_size)
    return {
        "images": np.ascontiguousarray(sample.image),
        **_box_arrays(sample.boxes, max_boxes),
        "known_classes": np.array([index in sample.known_classes for index in range(len(OBJECTS))]),
        "drivable": _mask_target(sample.drivable, input_size),
        "semantic": _mask_target(sample.semantic, input_size),
        **lane_arrays(sample.lanes, input_size),
        **{name: np.array(sample.scene.get(name, UNKNOWN), np.int64) for name in SCENE},
    }


def collate(items: list[dict[str, np.ndarray]]) -> dict[str, torch.Tensor]:
    """Stack targets of images of one size; boxes are cut to the longest list of the batch (at least one row)."""
    import torch

    rows = max(1, max(int((item["classes"] >= 0).sum()) for item in items))
    batch = {name: np.stack([item[name] for item in items]) for name in items[0]}
    for name in ("boxes", "classes", "ignored", "light_states"):
        batch[name] = np.ascontiguousarray(batch[name][:, :rows])
    return {name: torch.from_numpy(array) for name, array in batch.items()}


def _box_arrays(boxes: Boxes | None, rows: int) -> dict[str, np.ndarray]:
    has_boxes, boxes = boxes is not None, boxes or Boxes.empty()
    if len(boxes) > rows:
        height = boxes.boxes[:, 3] - boxes.boxes[:, 1]
        boxes = boxes[np.argsort(boxes.ignored * 1e6 - height, kind="stable")[:rows]]
    n = len(boxes)
    arrays: dict[str, np.ndarray] = {
        "boxes": np.zeros((rows, 4), np.float32),
        "classes": np.full(rows, UNKNOWN, np.int64),
        "ignored": np.zeros(rows, bool),
        "light_states": np.full(rows, UNKNOWN, np.int64),
    }
    for name, array in arrays.items():
        array[:n] = getattr(boxes, name)
    return {**arrays, "has_boxes": np.array(has_boxes)}


def _mask_target(mask: np.ndarray | None, size: tuple[int, int]) -> np.ndarray:
    """The pixel in the middle of each 4x4 block: unbiased, so thin poles keep their fraction of the area."""
    if mask is None:
        return np.full((size[0] // MASK_STRIDE, size[1] // MASK_STRIDE), IGNORE, np.uint8)
    return np.ascontiguousarray(mask[MASK_STRIDE // 2 :: MASK_STRIDE, MASK_STRIDE // 2 :: MASK_STRIDE])


def lane_arrays(lanes: Lanes | None, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """The six lane slots: an unlabelled position is unknown, a labelled one without a line is absent."""
    rows = row_centres(size[0])
    x = np.full((len(POSITIONS), len(rows)), np.nan, np.float32)
    exists, line_type, color = (np.full(len(POSITIONS), UNKNOWN, np.int64) for _ in range(3))
    for slot, position in enumerate(POSITIONS):
        line = lanes.at(position) if lanes else None
        if line is not None:
            x[slot] = columns_at(line, rows, size[1])
            rows_crossed = int(np.isfinite(x[slot]).sum())
            exists[slot] = 1 if rows_crossed > 1 else UNKNOWN if rows_crossed else 0
            line_type[slot], color[slot] = line.line_type, line.line_color
        elif lanes and position in lanes.labelled_positions:
            exists[slot] = 0
    x[exists != 1] = np.nan
    return {"lane_x": x, "lane_exists": exists, "lane_type": line_type, "lane_color": color}


def row_centres(height: int) -> np.ndarray:
    """(height / 8,) v of the centre of each lane row."""
    return (np.arange(height // ROW_STRIDE, dtype=np.float32) + 0.5) * ROW_STRIDE


def columns_at(line: Lane, rows: np.ndarray, width: float) -> np.ndarray:
    """(R,) float32 u where a line crosses each row v; nan where it does not or outside the image.

    If a line crosses a row twice (at a crest), the crossing nearest to the car is used.
    """
    u, v = line.points[::-1].T
    x = np.interp(rows, v, u, np.nan, np.nan) if (np.diff(v) > 0).all() else _nearest_crossings(line, rows)
    return np.where((x >= 0) & (x < width), x, np.nan).astype(np.float32)


def _nearest_crossings(line: Lane, rows: np.ndarray) -> np.ndarray:
    """The same for a line that is not monotonic in v: segments from far to near, so that the nearest one wins."""
    x = np.full(len(rows), np.nan)
    for (u0, v0), (u1, v1) in zip(line.points[-2::-1], line.points[:0:-1]):
        inside = (rows >= min(v0, v1)) & (rows <= max(v0, v1))
        if v0 != v1 and inside.any():
            x[inside] = u0 + (rows[inside] - v0) * (u1 - u0) / (v1 - v0)
    return x
