"""A Perception as the fields of camera_perception_msgs/PerceptionFrame: nested dicts, lists, numbers and arrays.

Nodes and replay serialise the same fields. A group of fields that is not available has its flag false and NaN inside,
never a zero that looks like data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import atan2, hypot, isfinite
from operator import attrgetter
from typing import Any

import numpy as np

from camera_perception.core.model_spec import ModelSpec
from camera_perception.core.types import EgoLane, LaneLine, Objects, Perception, Road, Status
from camera_perception.io.packed_objects import PackedObjects

NAN = float("nan")
FIRST_NS, LAST_NS = -(2**31) * 10**9, 2**31 * 10**9 - 1  # of builtin_interfaces/Time
OK, DEGRADED, INVALID = range(3)  # PerceptionFrame.status
# Plain numbers: operations of IntFlag take ten times as long.
INVALIDATING = int(
    Status.IMAGE_DARK
    | Status.IMAGE_FROZEN
    | Status.IMAGE_BLOCKED
    | Status.WRONG_ENCODING
    | Status.BAD_IMAGE
    | Status.ENGINE_ERROR
)
HINTS = int(
    Status.DROPPING
    | Status.CPU_FALLBACK
    | Status.THERMAL
    | Status.RESOLUTION_CHANGED
    | Status.MOUNTING_CHANGED
    | Status.RANGE_STRETCHED
)

LAMP_COLORS = {"red": 1, "yellow": 2, "amber": 2, "green": 3, "white": 4}  # TrafficLightElement.color
LAMP_SOLID_ON, LAMP_UNKNOWN = 14, 16
MIN_LAMP_SCORE = 0.3  # minimum score of a lamp state


def perception_fields(
    perception: Perception,
    spec: ModelSpec,
    *,
    camera_name: str = "",
    engine_id: str = "",
    frame_seq: int = 0,
    frames_dropped: int = 0,
    age_ms: float = NAN,
    velocity_over_ground: bool = False,
    packed: bool = False,
) -> dict[str, Any]:
    """All fields of one PerceptionFrame.

    age_ms                time of publishing minus stamp, milliseconds; nan when not published live
    velocity_over_ground  the tracker knew the ego motion
    packed                objects and the free road are for cdr.serialize alone, which writes them faster
    """
    frame, timing = perception.frame, perception.timing
    others, lights = _by_score(perception.objects, spec)
    over_ground = velocity_over_ground or perception.velocity_over_ground
    objects = PackedObjects(perception.objects, others, spec.classes, over_ground)
    return {
        "header": header_fields(frame.stamp_ns, frame.frame_id),
        "camera_name": camera_name,
        "image_width": frame.image.shape[1],
        "image_height": frame.image.shape[0],
        "frame_seq": frame_seq,
        "frames_dropped": frames_dropped,
        "age_ms": age_ms,
        "decode_ms": timing.decode_ms,
        "preprocess_ms": timing.preprocess_ms,
        "inference_ms": timing.inference_ms,
        "postprocess_ms": timing.postprocess_ms,
        "model_name": spec.name,
        "model_version": spec.version,
        "engine_id": engine_id,
        "tasks_valid": int(perception.tasks),
        "status": status_of(perception.status_flags),
        "status_flags": int(perception.status_flags),
        "base_frame": perception.base_frame,
        "objects": objects if packed else _objects(perception, others, spec.classes, over_ground),
        "lanes": [lane_fields(lane) for lane in _left_to_right(perception.lanes)],
        "ego_lane": ego_lane_fields(perception.ego_lane),
        "road": _road(perception.road, packed),
        "traffic_lights": _traffic_lights(perception.objects, lights, spec),
        "scene": [{"name": s.name, "label": s.label, "score": s.score} for s in perception.scene],
    }


def header_fields(stamp_ns: int, frame_id: str) -> dict[str, Any]:
    """std_msgs/Header of a time in nanoseconds."""
    if not FIRST_NS <= stamp_ns <= LAST_NS:  # a stamp with too many nanoseconds may exceed its type
        stamp_ns = FIRST_NS if stamp_ns < FIRST_NS else LAST_NS
    return {"stamp": {"sec": stamp_ns // 10**9, "nanosec": stamp_ns % 10**9}, "frame_id": frame_id}


def status_of(flags: int) -> int:
    """PerceptionFrame.status for its status_flags."""
    if flags & INVALIDATING:
        return INVALID
    return DEGRADED if flags & ~HINTS else OK


def _by_score(objects: Objects, spec: ModelSpec) -> tuple[np.ndarray, np.ndarray]:
    """Rows of objects and of traffic lights, which have their own list, by falling score."""
    rows = (-objects.scores).argsort(kind="stable")
    light = objects.classes[rows] == spec.light_class
    return rows[~light], rows[light]


def _objects(perception: Perception, rows: np.ndarray, names: Sequence[str], over_ground: bool) -> list[dict[str, Any]]:
    if not len(rows):
        return []
    objects = perception.objects
    position_covs, velocity_covs = objects.position_covs.reshape(-1, 4), objects.velocity_covs.reshape(-1, 4)
    values = objects.to_dicts(
        "boxes", "scores", "classes", "track_ids", "ages", "coasted", "truncated", "positions", "position_methods",
        "velocities", "ground_widths",
    )  # fmt: skip
    return [_object(values[row], names, over_ground, position_covs[row], velocity_covs[row]) for row in rows.tolist()]


def _object(
    row: Mapping[str, Any], names: Sequence[str], over_ground: bool, position_cov: np.ndarray, velocity_cov: np.ndarray
) -> dict[str, Any]:
    class_id = row["classes"]
    return {
        "class_id": class_id,
        "class_name": names[class_id] if 0 <= class_id < len(names) else "",
        "score": row["scores"],
        "alternatives": [],
        **_box(row["boxes"]),
        "truncation": row["truncated"],
        "track_id": row["track_ids"] & 0xFFFFFFFF,
        "track_age": min(row["ages"], 0xFFFF),
        "coasted": row["coasted"],
        **_position(row, position_cov),
        **_velocity(row["velocities"], over_ground, velocity_cov),
    }


def _box(box: Sequence[float]) -> dict[str, float]:
    x0, y0, x1, y1 = box
    return {"cx": (x0 + x1) / 2, "cy": (y0 + y1) / 2, "width": x1 - x0, "height": y1 - y0}


def _position(row: Mapping[str, Any], cov: np.ndarray) -> dict[str, Any]:
    x, y, z = row["positions"]
    known = isfinite(x) and isfinite(y)
    return {
        "has_position": known,
        "position_method": row["position_methods"] if known else 0,
        "position": {"x": x, "y": y, "z": z},
        "position_cov": cov,
        "ground_width": row["ground_widths"],
        "range": hypot(x, y),
        "bearing": atan2(y, x),
    }


def _velocity(velocity: Sequence[float], over_ground: bool, cov: np.ndarray) -> dict[str, Any]:
    x, y = velocity
    known = isfinite(x) and isfinite(y)
    return {
        "has_velocity": known,
        "velocity": {"x": x, "y": y, "z": 0.0 if known else NAN},
        "velocity_over_ground": known and over_ground,
        "velocity_cov": cov,
    }


def traffic_light_fields(perception: Perception, spec: ModelSpec) -> list[dict[str, Any]]:
    """PerceptionFrame.traffic_lights alone."""
    return _traffic_lights(perception.objects, _by_score(perception.objects, spec)[1], spec)


def _traffic_lights(lights: Objects, rows: np.ndarray, spec: ModelSpec) -> list[dict[str, Any]]:
    if not rows.size:
        return []
    states = spec.light_states if lights.light_states.shape[1] == len(spec.light_states) else ()
    boxes, scores = lights.boxes.take(rows, axis=0), lights.light_states.take(rows, axis=0)
    columns = (boxes, lights.scores[rows], lights.track_ids[rows], lights.relevances[rows], scores)
    return [
        {
            **_box(box),
            "score": score,
            "track_id": track_id & 0xFFFFFFFF,
            "relevance": relevance,
            "elements": _lamps(of_states, states),
        }
        for box, score, track_id, relevance, of_states in zip(*[column.tolist() for column in columns])
    ]


def _lamps(scores: Sequence[float], states: Sequence[str]) -> list[dict[str, Any]]:
    """The lit lamp, from a score of each state; empty when no lamp is lit or the state is uncertain."""
    if not states or not isfinite(sum(scores)):
        return []
    confidence = max(scores)
    state = states[scores.index(confidence)]
    if state not in LAMP_COLORS or confidence < MIN_LAMP_SCORE:
        return []
    return [{"color": LAMP_COLORS[state], "shape": LAMP_UNKNOWN, "status": LAMP_SOLID_ON, "confidence": confidence}]


_position_of = attrgetter("position")


def _left_to_right(lanes: tuple[LaneLine, ...]) -> list[LaneLine]:
    """By role if every line has one, else by the position of its nearest point."""
    if 0 not in [lane.position for lane in lanes]:
        return sorted(lanes, key=_position_of)
    return sorted(lanes, key=lambda lane: float(lane.points[0, 0]) if len(lane.points) else 0.0)


def lane_fields(lane: LaneLine) -> dict[str, Any]:
    """All fields of a LaneLine message."""
    ground = lane.ground
    return {
        "lane_id": lane.lane_id,
        "position": lane.position,
        "score": lane.score,
        "line_type": int(lane.line_type),
        "type_score": lane.type_score,
        "color": int(lane.color),
        "color_score": lane.color_score,
        "u": lane.points[:, 0],
        "v": lane.points[:, 1],
        "has_ground": ground is not None,
        "x": ground.points[:, 0] if ground else np.zeros(0, np.float32),
        "y": ground.points[:, 1] if ground else np.zeros(0, np.float32),
        "y_std": ground.y_std if ground else np.zeros(0, np.float32),
        "poly": ground.poly if ground else np.full(4, NAN, np.float32),
        "x_min": ground.x_min if ground else NAN,
        "x_max": ground.x_max if ground else NAN,
    }


NO_LANE = EgoLane(NAN, NAN, NAN, NAN, NAN, NAN)


def ego_lane_fields(lane: EgoLane | None) -> dict[str, Any]:
    """All fields of an EgoLane message."""
    known = lane or NO_LANE
    return {
        "valid": lane is not None,
        "offset": known.offset,
        "heading": known.heading,
        "curvature": known.curvature,
        "width": known.width,
        "margin_left": known.margin_left,
        "margin_right": known.margin_right,
    }


def _road(road: Road | None, packed: bool = False) -> dict[str, Any]:
    boundary = road.boundary if road else np.zeros((0, 2), np.float32)
    polygon = road.polygon if road else np.zeros((0, 2), np.float32)
    return {
        "u": boundary[:, 0],
        "v": boundary[:, 1],
        "has_ground": len(polygon) > 0,
        "ground": on_road(polygon) if packed else [{"x": x, "y": y, "z": 0.0} for x, y in polygon.tolist()],
        "free_distance_ahead": road.free_distance_ahead if road else NAN,
        "coverage": road.coverage if road else NAN,
    }


def on_road(polygon: np.ndarray) -> np.ndarray:
    """(M, 2) -> (M, 3) float32 x y z."""
    points = np.zeros((len(polygon), 3), np.float32)
    points[:, :2] = polygon
    return points


def failed_fields(
    stamp_ns: int,
    frame_id: str,
    flags: int,
    *,
    camera_name: str = "",
    frame_seq: int = 0,
    frames_dropped: int = 0,
    age_ms: float = NAN,
) -> dict[str, Any]:
    """Fields of the PerceptionFrame for an image that could not be processed."""
    unknown = dict.fromkeys(("decode_ms", "preprocess_ms", "inference_ms", "postprocess_ms"), NAN)
    return {
        "header": header_fields(stamp_ns, frame_id),
        "camera_name": camera_name,
        "frame_seq": frame_seq,
        "frames_dropped": frames_dropped,
        "age_ms": age_ms,
        "status": status_of(flags),
        "status_flags": int(flags),
        "ego_lane": ego_lane_fields(None),
        "road": _road(None),
        **unknown,
    }
