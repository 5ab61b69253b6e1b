"""Comparison of two recordings of the same drive, field by field: the regression test for a drive.

Lane lines are compared where both have points: a rounding error decides whether the last row of a line counts.
Measured times and engine names are ignored: they differ between machines and runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from camera_perception.tools.replay.metrics import stamp_ns_of

IGNORED = {"age_ms", "decode_ms", "preprocess_ms", "inference_ms", "postprocess_ms", "engine_id", "frames_dropped"}

# (absolute, relative) tolerance per field; all others must be equal to within rounding.
PIXELS, SCORE, METRES, VARIANCE = (1.0, 0.0), (0.02, 0.0), (0.05, 0.02), (0.1, 0.2)
ENDS_PIXELS, ENDS_METRES = (16.0, 0.05), (2.0, 0.15)  # of a lane line; a network's lane rows are some 8 pixels apart
TOLERANCES = {
    **dict.fromkeys(("cx", "cy", "width", "height", "u", "v"), PIXELS),
    **dict.fromkeys(("score", "type_score", "color_score", "confidence", "coverage"), SCORE),
    **dict.fromkeys(("x", "y", "z", "range", "y_std", "ground_width", "free_distance_ahead"), METRES),
    **dict.fromkeys(("offset", "margin_left", "margin_right", "bearing", "heading"), METRES),
    **dict.fromkeys(("x_ends", "x_min", "x_max"), ENDS_METRES),
    "v_ends": ENDS_PIXELS,
    **dict.fromkeys(("position_cov", "velocity_cov", "poly", "curvature"), VARIANCE),
}
ROUNDING = (1e-6, 1e-6)


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of one frame. `size` is the deviation in tolerances; inf where there is no number to compare."""

    stamp_ns: int
    field: str
    actual: str
    wanted: str
    size: float


@dataclass(frozen=True, slots=True)
class Row:
    """All differences of one field: the number of frames, and the largest difference."""

    field: str
    frames: int
    worst: Difference


def compare_frames(
    actual: Sequence[Mapping[str, Any]], wanted: Sequence[Mapping[str, Any]], scale: float = 1.0
) -> list[Difference]:
    """Differences beyond the tolerances (times `scale`) between two lists of frames, matched by stamp."""
    ours, theirs = _by_stamp(actual), _by_stamp(wanted)
    differences = []
    for key in sorted(ours.keys() | theirs.keys()):
        if key in ours and key in theirs:
            rows = _compare(ours[key], theirs[key], "", scale)
            differences += [Difference(key[0], field, now, before, size) for field, now, before, size in rows]
        else:
            now, before = ("present", "missing") if key in ours else ("missing", "present")
            differences.append(Difference(key[0], "frame", now, before, math.inf))
    return differences


def table(differences: Sequence[Difference]) -> list[Row]:
    """One row per field, the most frequent first."""
    by_field: dict[str, list[Difference]] = {}
    for difference in differences:
        by_field.setdefault(difference.field, []).append(difference)
    rows = [
        Row(field, len({d.stamp_ns for d in group}), max(group, key=lambda d: d.size))
        for field, group in by_field.items()
    ]
    return sorted(rows, key=lambda row: (-row.frames, row.field))


def _by_stamp(frames: Sequence[Mapping[str, Any]]) -> dict[tuple[int, str, int], Mapping[str, Any]]:
    """(stamp, camera, number of earlier frames with both): frame."""
    keyed: dict[tuple[int, str, int], Mapping[str, Any]] = {}
    for frame in frames:
        key = stamp_ns_of(frame), frame.get("camera_name", "")
        repeat = 0
        while (*key, repeat) in keyed:
            repeat += 1
        keyed[(*key, repeat)] = frame
    return keyed


Differences = Iterator[tuple[str, str, str, float]]  # field, actual, wanted, size


def _compare(actual: Any, wanted: Any, path: str, scale: float) -> Differences:
    if isinstance(wanted, Mapping) and "lane_id" in wanted:
        actual, wanted = _on_common_rows(actual, wanted)
    if isinstance(wanted, Mapping):
        for name in wanted:
            if name not in IGNORED:
                yield from _compare(actual.get(name), wanted[name], f"{path}.{name}".lstrip("."), scale)
    elif isinstance(wanted, list):
        yield from _compare_lists(actual or [], wanted, path, scale)
    elif isinstance(wanted, np.ndarray):
        yield from _compare_arrays(np.asarray(actual), wanted, path, scale)
    elif isinstance(wanted, float):
        yield from _compare_arrays(np.array([actual], float), np.array([wanted]), path, scale)
    elif actual != wanted:
        yield path, str(actual), str(wanted), math.inf


def _on_common_rows(actual: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two lane lines with u interpolated at the same image rows, and y at the same distances."""
    ours, theirs = dict(actual), dict(wanted)
    for along, across in (("v", ("u",)), ("x", ("y", "y_std"))):
        positions = [np.asarray(line.pop(along), float) for line in (ours, theirs)]
        if not all(len(each) > 1 for each in positions):
            ours[f"{along} (count)"], theirs[f"{along} (count)"] = (min(len(each), 2) for each in positions)
            continue
        low, high = max(each.min() for each in positions), min(each.max() for each in positions)
        common = positions[1][(positions[1] >= low) & (positions[1] <= high)]
        for line, each in zip((ours, theirs), positions):
            line[f"{along}_ends"] = np.array([each[0], each[-1]])
            for name in across:
                order = np.argsort(each)
                line[name] = np.interp(common, each[order], np.asarray(line[name], float)[order])
    return ours, theirs


def _compare_lists(actual: list[Any], wanted: list[Any], path: str, scale: float) -> Differences:
    if len(actual) != len(wanted):
        yield f"{path} (count)", str(len(actual)), str(len(wanted)), math.inf
        return
    for ours, theirs in _matched(actual, wanted):
        yield from _compare(ours, theirs, path, scale)


def _matched(actual: list[Any], wanted: list[Any]) -> list[tuple[Any, Any]]:
    """Pairs to compare: by class and box, since objects of equal score may change order; without boxes, by order."""
    if not wanted or not isinstance(wanted[0], Mapping) or "cx" not in wanted[0]:
        return list(zip(actual, wanted))
    free, pairs = list(actual), []
    for theirs in wanted:
        ours = min(free, key=lambda each: _distance(each, theirs))
        free = [each for each in free if each is not ours]
        pairs.append((ours, theirs))
    return pairs


def _distance(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    distance: float = sum(abs(one[name] - other[name]) for name in ("cx", "cy", "width", "height"))
    return distance + (0.0 if one.get("class_id") == other.get("class_id") else 1e6)


def _compare_arrays(actual: np.ndarray, wanted: np.ndarray, path: str, scale: float) -> Differences:
    if actual.shape != wanted.shape:
        yield f"{path} (count)", str(actual.size), str(wanted.size), math.inf
        return
    if not wanted.size:
        return
    ours, theirs = actual.astype(float), wanted.astype(float)
    atol, rtol = TOLERANCES.get(path.rpartition(".")[2], ROUNDING)
    with np.errstate(invalid="ignore"):
        allowed = scale * (atol + rtol * np.abs(np.nan_to_num(theirs)))
        size = np.where((ours == theirs) | (np.isnan(ours) & np.isnan(theirs)), 0.0, np.abs(ours - theirs) / allowed)
    size = np.nan_to_num(size, nan=np.inf)
    worst = int(np.argmax(size))
    if size.flat[worst] > 1:
        yield path, _number(ours.flat[worst]), _number(theirs.flat[worst]), float(size.flat[worst])


def _number(value: float) -> str:
    return "unknown" if math.isnan(value) else f"{value:.6g}"
