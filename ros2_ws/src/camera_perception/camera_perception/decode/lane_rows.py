"""Our lane head: for each of L lines, its x in each of R image rows.

roles    x (L, R) float32 network pixels of the line's middle; row_score (L, R) 0..1; score (L,) 0..1;
         type (L, T) and color (L, C) float32 probabilities. Row r is at network v = (r + 0.5) H / R.
options  positions: L ints, -1 left and +1 right line of the own lane, outwards from there;
         line_types: T names of LineType in lower case; line_colors: C names of LineColor in lower case;
         row_threshold: a line is present in a row from this row_score on, 0.5 when not given
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from camera_perception.decode import Part
from camera_perception.decode.check import Shapes, expect, expect_shape
from camera_perception.lanes import inside, left_to_right
from camera_perception.model_spec import HeadSpec
from camera_perception.preprocess import Letterbox
from camera_perception.types import LaneLine, LineColor, LineType, Task

Arrays = Mapping[str, np.ndarray]


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


def _check_names(head: HeadSpec, option: str, enum: type[LineType] | type[LineColor]) -> None:
    unknown = [name for name in head.options[option] if name.upper() not in enum.__members__]
    known = ", ".join(name.lower() for name in enum.__members__)
    expect(not unknown, head, f"option '{option}' has unknown names {unknown}: expected some of {known}")


def decode(arrays: Arrays, head: HeadSpec, letterbox: Letterbox, threshold: float) -> Part:
    found = np.flatnonzero(arrays["score"] >= threshold)
    x = arrays["x"][found].astype(np.float64)
    v = (np.arange(x.shape[1]) + 0.5) * letterbox.input_size[0] / x.shape[1]
    points = letterbox.image_from_input(np.stack((x, np.broadcast_to(v, x.shape)), axis=-1))[:, ::-1]
    shown = (arrays["row_score"][found] >= head.options.get("row_threshold", 0.5))[:, ::-1]
    shown = shown & inside(points, letterbox.image_size)
    lines = [
        _line(arrays, row, points[i, shown[i]], head) for i, row in enumerate(found.tolist()) if shown[i].sum() >= 2
    ]
    return Part(Task.LANES, lanes=left_to_right(lines))


def _line(arrays: Arrays, row: int, points: np.ndarray, head: HeadSpec) -> LaneLine:
    line_type, type_score = _best(arrays["type"][row], head.options["line_types"])
    color, color_score = _best(arrays["color"][row], head.options["line_colors"])
    return LaneLine(
        points.astype(np.float32),
        min(float(arrays["score"][row]), 1.0),
        position=int(head.options["positions"][row]),
        line_type=LineType[line_type],
        type_score=type_score,
        color=LineColor[color],
        color_score=color_score,
    )


def _best(probabilities: np.ndarray, names: list[str]) -> tuple[str, float]:
    """Most probable name, as the enums spell it, and its probability."""
    index = int(probabilities.argmax())
    score = float(probabilities[index])
    return (names[index].upper(), score) if 0 <= score < np.inf else ("UNKNOWN", 0.0)  # of nan, argmax is the nan
