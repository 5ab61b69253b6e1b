"""Lane head of our networks: x in each of R image rows for each of L lines.

roles    x (L, R) float32 network pixels of the line's centre; row_score (L, R) 0..1; score (L,) 0..1;
         type (L, T) and color (L, C) float32 probabilities. Row r is at network v = (r + 0.5) H / R.
options  positions: L ints, -1 left and +1 right line of the ego lane, then outwards;
         line_types: T names of LineType in lower case; line_colors: C names of LineColor in lower case;
         row_threshold: minimum row_score of a row that shows the line; default: 0.5;
         max_jump: largest distance of a row from a smooth road line, as a fraction of the image width; lines with
         larger ones are refitted to the rows that agree; null: lines stay as they are; default: 0.0078 (5 of 640 px);
         min_agreeing: fraction of the row scores that must agree, or the line is refused; default: 0.6
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from math import inf
from typing import Any, TypeVar

import numpy as np

from camera_perception import core
from camera_perception.core.model_spec import HeadSpec
from camera_perception.core.types import LaneLine, LineColor, LineType, Task
from camera_perception.decode import Part
from camera_perception.decode.heads import Shapes, expect, expect_shape
from camera_perception.image.letterbox import Letterbox
from camera_perception.lanes.image_lines import inside_image, left_to_right
from camera_perception.lanes.smooth import smooth

Arrays = Mapping[str, np.ndarray]
Label = TypeVar("Label", LineType, LineColor)
MAX_JUMP, MIN_AGREEING = 5 / 640, 0.6


def check(head: HeadSpec, shapes: Shapes) -> None:
    options = head.options
    expect_shape(head, shapes, "x", "L", "R")
    lines = shapes["x"][1]
    expect_shape(head, shapes, "row_score", lines, shapes["x"][2])
    expect_shape(head, shapes, "score", lines)
    expect_shape(head, shapes, "type", lines, len(options.get("line_types", ())))
    expect_shape(head, shapes, "color", lines, len(options.get("line_colors", ())))
    expect(len(options.get("positions", ())) == lines, head, f"option 'positions' must name {lines} lines")
    _check_names(head, "line_types", LineType)
    _check_names(head, "line_colors", LineColor)
    max_jump, agreeing = options.get("max_jump", MAX_JUMP), options.get("min_agreeing", MIN_AGREEING)
    expect(max_jump is None or 0 < max_jump < 1, head, f"option 'max_jump' is {max_jump}: expected 0 to 1, or null")
    expect(0 <= agreeing <= 1, head, f"option 'min_agreeing' is {agreeing}: expected 0 to 1")


def _check_names(head: HeadSpec, option: str, enum: type[LineType] | type[LineColor]) -> None:
    unknown = [name for name in head.options[option] if name.upper() not in enum.__members__]
    known = ", ".join(name.lower() for name in enum.__members__)
    expect(not unknown, head, f"option '{option}' has unknown names {unknown}: expected some of {known}")


def decode(arrays: Arrays, head: HeadSpec, letterbox: Letterbox, threshold: float) -> Part:
    rows = (arrays["score"] >= threshold).nonzero()[0]
    if not len(rows):
        return Part(Task.LANES, lanes=())
    compiled = core.kernels is not None and [arrays[role].dtype for role in COMPILED] == [np.dtype(np.float32)] * 4
    decoded = (_compiled if compiled else _decoded)(arrays, rows, letterbox, head.options)
    positions, scores = head.options["positions"], arrays["score"][rows].tolist()
    lines = [
        LaneLine(line[0], score if score < 1.0 else 1.0, int(positions[row]), *line[1:])
        for row, score, line in zip(rows.tolist(), scores, decoded)
        if len(line[0]) >= 2
    ]
    return Part(Task.LANES, lanes=left_to_right(lines))


COMPILED = "x", "row_score", "type", "color"  # what the compiled twin reads, float32
Decoded = tuple[np.ndarray, LineType, float, LineColor, float]  # (P, 2) points, type and colour with their scores


def _decoded(arrays: Arrays, rows: np.ndarray, letterbox: Letterbox, options: Mapping[str, Any]) -> Iterator[Decoded]:
    """The lines in these rows of the network's output."""
    types = _most_probable(arrays["type"][rows], LineType, tuple(options["line_types"]))
    colors = _most_probable(arrays["color"][rows], LineColor, tuple(options["line_colors"]))
    for points, of_type, of_color in zip(_points(arrays, rows, letterbox, options), types, colors):
        yield points, *of_type, *of_color


def _compiled(arrays: Arrays, rows: np.ndarray, letterbox: Letterbox, options: Mapping[str, Any]) -> list[Decoded]:
    read, lines = [np.ascontiguousarray(arrays[role]) for role in COMPILED], len(rows)
    max_jump, (_, count), width = options.get("max_jump", MAX_JUMP), read[0].shape, letterbox.image_size[1]
    points, weights = np.empty((lines * count, 2), np.float32), np.empty(lines * count, np.float32)
    found = np.empty((lines, 6))  # number of points, whether they are smooth, type and its score, colour and its score
    core.kernels.decode_lines(
        _rows_upwards(count, letterbox.input_size[0]), *read, rows, letterbox.numbers,
        options.get("row_threshold", 0.5), -1.0 if max_jump is None else max_jump, points, weights, found,
    )  # fmt: skip
    types, colors = _labels(LineType, tuple(options["line_types"])), _labels(LineColor, tuple(options["line_colors"]))
    decoded: list[Decoded] = []
    end = 0
    for own, good, of_type, type_score, of_color, color_score in found.tolist():
        start, end = end, end + int(own)
        line = points[start:end] if good else _smooth(points[start:end], weights[start:end], width, options)
        decoded.append((line, types[int(of_type)], type_score, colors[int(of_color)], color_score))
    return decoded


def _points(arrays: Arrays, rows: np.ndarray, letterbox: Letterbox, options: Mapping[str, Any]) -> Iterator[np.ndarray]:
    """(P, 2) float32 source pixels of the smooth part of each of these lines, from the bottom up."""
    points = letterbox.image_from_input(_near_to_far(arrays["x"][rows], letterbox.input_size[0]))
    row_scores = arrays["row_score"][rows, ::-1]
    present = row_scores >= options.get("row_threshold", 0.5)
    present &= inside_image(points, letterbox.image_size)
    points = points.astype(np.float32)
    width, weights = letterbox.image_size[1], np.minimum(np.maximum(row_scores, 0), 1)
    for line, weight, there in zip(points, weights, present):
        yield _smooth(line[there], weight[there], width, options)


def _smooth(points: np.ndarray, weights: np.ndarray, width: int, options: Mapping[str, Any]) -> np.ndarray:
    """(P, 2) the points of one line as far as they are a smooth line."""
    max_jump, min_agreeing = options.get("max_jump", MAX_JUMP), options.get("min_agreeing", MIN_AGREEING)
    return points if max_jump is None else smooth(points, weights, width, max_jump, min_agreeing)


def _near_to_far(x: np.ndarray, height: int) -> np.ndarray:
    """(L, R) x in network pixels -> (L, R, 2) network pixels u v, from the bottom up."""
    points = np.empty((*x.shape, 2))
    points[..., 0] = x[:, ::-1]
    points[..., 1] = _rows_upwards(x.shape[1], height)
    return points


@lru_cache(maxsize=8)
def _rows_upwards(rows: int, height: int) -> np.ndarray:
    """(R,) v of each row in network pixels."""
    return np.ascontiguousarray(((np.arange(rows) + 0.5) * height / rows)[::-1])


def _most_probable(probabilities: np.ndarray, kind: type[Label], names: tuple[str, ...]) -> list[tuple[Label, float]]:
    """The most probable label of each row (L, C), and its probability."""
    labels, best = _labels(kind, names), probabilities.argmax(axis=1).tolist()
    # argmax of a row with nan is the nan.
    scores = [row[index] for row, index in zip(probabilities.tolist(), best)]
    return [(labels[index], score) if 0 <= score < inf else (labels[-1], 0.0) for index, score in zip(best, scores)]


@lru_cache(maxsize=16)
def _labels(kind: type[Label], names: tuple[str, ...]) -> tuple[Label, ...]:
    """Members by name, and the unknown one."""
    return tuple(kind[name.upper()] for name in (*names, "unknown"))
