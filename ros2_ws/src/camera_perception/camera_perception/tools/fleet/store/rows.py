"""From one perception to the rows of its tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from camera_perception.core.boxes import iou_matrix
from camera_perception.core.model_spec import ModelSpec
from camera_perception.core.types import ClassMap, Detections, LaneLine, Objects, Perception, Relevance

Rows = dict[str, list[dict[str, Any]]]
SAME = 0.6  # IoU above which a candidate is a reported object again
VEHICLES = ("car", "truck", "bus", "train", "motorcycle", "bicycle")
# Inverse frequency on public driving data, coarse: a doubtful pedestrian says more than a doubtful car.
CLASS_WEIGHTS = {"car": 1.0, "traffic sign": 1.0, "traffic light": 1.5, "truck": 2.0, "pedestrian": 2.0}
RARE_WEIGHT = 3.0  # all other classes


def rows_of(key: Mapping[str, Any], file: str, seen: Perception, spec: ModelSpec, candidates: Detections) -> Rows:
    """The rows of one image.

    key         FRAME_KEY columns
    candidates  all detections down to the least score wanted
    """
    objects, light = seen.objects, spec.light_class
    low = without_reported(candidates, objects)
    rows: Rows = {
        "objects": [{**key, **row} for row in (*reported_rows(objects, spec), *candidate_rows(low, spec))],
        "lights": [{**key, **row} for row in light_rows(objects[objects.classes == light], spec)],
        "lanes": [{**key, **lane_row(line)} for line in seen.lanes],
        "scenes": [{**key, "name": s.name, "label": s.label, "score": s.score} for s in seen.scene],
    }
    rows["frames"] = [{**key, **frame_row(file, seen, spec, candidates)}]
    return rows


def frame_row(file: str, seen: Perception, spec: ModelSpec, candidates: Detections) -> dict[str, Any]:
    """The row of `frames`, without key and embedding."""
    height, width = seen.frame.image.shape[:2]
    labels = {each.name: each.label for each in seen.scene}
    return {
        "file": file,
        "width": width,
        "height": height,
        "error": "",
        "status_flags": int(seen.status_flags),
        "objects": len(seen.objects),
        "lanes": len(seen.lanes),
        "free_distance_m": known(seen.road.free_distance_ahead) if seen.road else None,
        "road_fraction": known(seen.road.coverage) if seen.road else None,
        **{name: labels.get(name) for name in ("weather", "scene", "timeofday")},
        "luminance": float(seen.frame.image[::8, ::8].mean()),
        "det_seg": det_seg(seen, spec),
        "uncertainty": uncertainty(candidates, spec),
    }


def reported_rows(objects: Objects, spec: ModelSpec) -> list[dict[str, Any]]:
    """Rows of the objects that the pipeline reports."""
    heights = implied_heights(objects)
    rows = []
    for i in range(len(objects)):
        x, y = (known(value) for value in objects.positions[i, :2])
        rows.append({
            "reported": True, "class_name": spec.classes[objects.classes[i]], "score": float(objects.scores[i]),
            "track_id": int(objects.track_ids[i]), "age": int(objects.ages[i]), "coasted": bool(objects.coasted[i]),
            "truncated": int(objects.truncated[i]), **sides(objects.boxes[i]), "x_m": x, "y_m": y,
            "range_m": None if x is None or y is None else math.hypot(x, y),
            "vx_mps": known(objects.velocities[i, 0]), "vy_mps": known(objects.velocities[i, 1]),
            "height_m": known(heights[i]),
        })  # fmt: skip
    return rows


def implied_heights(objects: Objects) -> np.ndarray:
    """(N,) metres: the range by the ground plane, divided by the range per metre of height of the box."""
    with np.errstate(divide="ignore", invalid="ignore"):
        heights: np.ndarray = objects.cues[:, 0] / objects.cues[:, 2]
    return np.where(objects.truncated > 0, np.nan, heights)


def candidate_rows(low: Detections, spec: ModelSpec) -> list[dict[str, Any]]:
    """Rows of detections that the pipeline does not report."""
    none = {"reported": False, "track_id": 0, "age": 0, "coasted": False, "truncated": 0}
    each = zip(low.boxes, low.classes, low.scores)
    return [{**none, "class_name": spec.classes[c], "score": float(s), **sides(box)} for box, c, s in each]


def without_reported(candidates: Detections, objects: Objects) -> Detections:
    """The candidates that are no reported object of the same class again."""
    if not len(candidates) or not len(objects):
        return candidates
    same = iou_matrix(candidates.boxes, objects.boxes) >= SAME
    same &= candidates.classes[:, None] == objects.classes[None]
    return candidates[np.flatnonzero(~same.any(axis=1))]


def light_rows(lights: Objects, spec: ModelSpec) -> list[dict[str, Any]]:
    """Rows of traffic lights."""
    rows = []
    for i in range(len(lights)):
        states = lights.light_states[i]
        read = states.size and np.isfinite(states).all() and states.max() > 0
        rows.append({
            "track_id": int(lights.track_ids[i]), "score": float(lights.scores[i]),
            "state": spec.light_states[int(states.argmax())] if read else "",
            "state_score": float(states.max()) if read else None,
            "relevance": Relevance(int(lights.relevances[i])).name.lower(), **sides(lights.boxes[i]),
        })  # fmt: skip
    return rows


def lane_row(line: LaneLine) -> dict[str, Any]:
    """Row of a lane line."""
    ground = line.ground.points if line.ground else None
    return {
        "lane_id": line.lane_id, "position": line.position, "score": float(line.score),
        "line_type": line.line_type.name.lower(), "color": line.color.name.lower(),
        "u": line.points[:, 0].tolist(), "v": line.points[:, 1].tolist(),
        "x_m": None if ground is None else ground[:, 0].tolist(),
        "y_m": None if ground is None else ground[:, 1].tolist(),
    }  # fmt: skip


def uncertainty(candidates: Detections, spec: ModelSpec) -> float:
    """Sum of the binary entropies of the scores, in bits, times the weights of the classes.

    Aggregated per image as in "Active Learning for Deep Object Detection" (Brust et al., 2019), with class weights.
    """
    scores = np.clip(candidates.scores.astype(float), 1e-6, 1 - 1e-6)
    entropy = -scores * np.log2(scores) - (1 - scores) * np.log2(1 - scores)
    weights = [CLASS_WEIGHTS.get(spec.classes[index], RARE_WEIGHT) for index in candidates.classes]
    return float(np.dot(entropy, weights)) if len(weights) else 0.0


def det_seg(seen: Perception, spec: ModelSpec) -> float | None:
    """1 - IoU of the pixels in vehicle boxes and the pixels segmented as vehicle, where either is large enough.

    Two heads of one network that disagree are wrong in at least one: "Consistency-based Active Learning for Object
    Detection" (Yu et al., 2022) uses the same between augmentations. Boxes are no silhouettes, so that a perfect frame
    reaches some 0.3, and the own hood, a vehicle without a box, adds the same to all of a camera; only the order
    matters.
    """
    if seen.semantic is None or "vehicle" not in seen.semantic.names:
        return None
    segmented = seen.semantic.ids == seen.semantic.names.index("vehicle")
    boxed = _painted(seen, spec, seen.semantic)
    union = float((segmented | boxed).sum())
    return 0.0 if union < 0.002 * segmented.size else 1.0 - float((segmented & boxed).sum()) / union


def _painted(seen: Perception, spec: ModelSpec, like: ClassMap) -> np.ndarray:
    """(h, w) bool: cells of the map inside the box of a detected vehicle."""
    painted = np.zeros(like.ids.shape, bool)
    height, width = seen.frame.image.shape[:2]
    scale = np.array([like.ids.shape[1] / width, like.ids.shape[0] / height] * 2)
    for box, index, coasted in zip(seen.objects.boxes, seen.objects.classes, seen.objects.coasted):
        if spec.classes[index] in VEHICLES and not coasted:
            x0, y0, x1, y1 = np.round(box * scale).astype(int).clip(0)
            painted[y0:y1, x0:x1] = True
    return painted


def sides(box: np.ndarray) -> dict[str, float]:
    return dict(zip(("x0", "y0", "x1", "y1"), map(float, box)))


def known(value: float) -> float | None:
    """The number, or None where it is not finite."""
    return float(value) if math.isfinite(value) else None
