"""YOLOX exports: offsets within grid cells, logarithms of sizes, and final scores.

roles    output (N, 5 + C): x, y, log width, log height, objectness, one score per class; N cells by stride, row by row
options  strides: default [8, 16, 32]; with P2 [4, 8, 16, 32], with P6 [8, 16, 32, 64]
         decoded: true when the export applies grids and strides
         calibration, thresholds: scores.py
nms_iou  null: 0.45
Source   Ge et al., YOLOX: Exceeding YOLO Series in 2021, arXiv 2107.08430
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from camera_perception.core.model_spec import HeadSpec
from camera_perception.core.types import Task
from camera_perception.decode import Part
from camera_perception.decode.detections import check_rows, detections_from_rows
from camera_perception.decode.heads import Shapes, expect
from camera_perception.image.letterbox import Letterbox

STRIDES = (8, 16, 32)


def check(head: HeadSpec, shapes: Shapes) -> None:
    check_rows(head, shapes)
    check_strides(head, STRIDES)


def check_strides(head: HeadSpec, default: tuple[int, ...]) -> None:
    """ModelError unless the option `strides` is missing or a list of positive integers."""
    strides = head.options.get("strides", default)
    fits = all(isinstance(stride, int) and stride > 0 for stride in strides) and len(strides) > 0
    expect(fits, head, f"option 'strides' is {strides}: expected positive integers such as {list(default)}")


def decode(arrays: Mapping[str, np.ndarray], head: HeadSpec, letterbox: Letterbox, threshold: float) -> Part:
    rows = arrays["output"]
    if not head.options.get("decoded", False):
        rows = _decode_offsets(rows, letterbox.input_size, head.options.get("strides", STRIDES))
    return Part(Task.OBJECTS, detections=detections_from_rows(rows, head, letterbox, threshold))


def _decode_offsets(rows: np.ndarray, input_size: tuple[int, int], strides: Sequence[int]) -> np.ndarray:
    anchor_points = anchor_grid(input_size, tuple(strides))[: len(rows)]
    rows = rows[: len(anchor_points)].astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        rows[:, :2] = (rows[:, :2] + anchor_points[:, :2]) * anchor_points[:, 2:]
        rows[:, 2:4] = np.exp(rows[:, 2:4]) * anchor_points[:, 2:]
    return rows


@lru_cache(maxsize=8)
def anchor_grid(input_size: tuple[int, int], strides: tuple[int, ...], partial: bool = False) -> np.ndarray:
    """(N, 3) float32 column, row and stride of every grid cell of an input (H, W).

    partial  also cells at the right and lower border that are cut by it
    """
    levels = []
    for stride in strides:
        rows, columns = ((size + (stride - 1) * partial) // stride for size in input_size)
        row, column = np.divmod(np.arange(rows * columns), columns)
        levels.append(np.column_stack((column, row, np.full(len(row), stride))))
    return np.concatenate(levels).astype(np.float32)
