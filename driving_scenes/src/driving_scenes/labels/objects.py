"""Boxes, masks and truth of a picture, in the words of perception_models/DATA.md."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from driving_scenes.base.camera import Camera
from driving_scenes.labels.lanes import LaneCurve, lane_curves
from driving_scenes.renderer.picture import Observations, Picture
from driving_scenes.scene.drive import Snapshot

# What nobody would draw a box around: such an object is neither a target nor a mistake (KITTI's hardest protocol stops
# at 25 of 375 pixel rows, ours at 6 of 384).
LEAST_VISIBLE, LEAST_HEIGHT, LEAST_WIDTH = 0.25, 6, 3
PART_TRACKS = 1_000_000  # times the number of the piece, added to the track of its thing
SCENES = {
    "highway": "highway",
    "rural": "highway",
    "city": "city street",
    "residential": "residential",
    "tunnel": "tunnel",
    "parking": "parking lot",
}


@dataclass(frozen=True, slots=True)
class Labels:
    """Everything about one picture: Scalabel boxes and lanes, masks (H, W) uint8, and the truth record."""

    attributes: dict
    boxes: list[dict]
    lanes: list[dict]
    drivable: np.ndarray
    semantic: np.ndarray
    truth: dict
    ids: np.ndarray


def label(snapshot: Snapshot, camera: Camera, picture: Picture, whole: np.ndarray) -> Labels:
    """Labels of the final (distorted) picture; `whole` is the number of pixels of each seen piece if nothing hid it."""
    ids, codes, depth = (_bent(x, camera) for x in (picture.ids, picture.labels, picture.depth))
    counts = np.bincount(picture.ids.ravel(), minlength=len(picture.seen) + 1)[1:]
    visible = np.clip(counts / np.maximum(whole, 1), 0, 1)
    found, boxes, objects = _extents(ids), [], []
    for number, (x1, y1, x2, y2) in found.items():
        seen, part = picture.seen[number - 1], float(visible[number - 1])
        box = {"x1": float(x1), "y1": float(y1), "x2": float(x2), "y2": float(y2)}
        entry = _box(seen, snapshot, camera, box, part)
        boxes.append(entry)
        objects.append(_object(seen, snapshot, int(entry["id"]), box, part))
    curves = lane_curves(snapshot, camera, depth, codes)
    semantic, drivable = codes & 15, codes >> 4
    semantic[semantic == 15] = 255
    drivable[semantic == 255] = 255
    attributes = _attributes(snapshot)
    truth = {"objects": objects, "lanes": [_curve(c) for c in curves], **_pose(snapshot, camera)}
    return Labels(attributes, boxes, [_lane(c) for c in curves], drivable, semantic, truth, ids)


def _attributes(snapshot: Snapshot) -> dict:
    """What can be seen of scene, weather and time: in a tunnel neither of the last two, at night no clouds."""
    weather, time = snapshot.conditions.weather, snapshot.conditions.timeofday
    if snapshot.world.kind == "tunnel":
        weather, time = "undefined", "undefined"
    elif time == "night" and weather in ("partly cloudy", "overcast"):
        weather = "undefined"
    return {"weather": weather, "scene": SCENES[snapshot.world.kind], "timeofday": time}


def _bent(image: np.ndarray, camera: Camera) -> np.ndarray:
    return image.copy() if camera.lookup is None else cv2.remap(image, *camera.lookup, cv2.INTER_NEAREST)


def _extents(ids: np.ndarray) -> dict[int, tuple[int, int, int, int]]:
    """Half-open pixel extents of every id."""
    v, u = np.nonzero(ids)
    if not len(v):
        return {}
    number = ids[v, u]
    order = np.argsort(number, kind="stable")
    number, v, u = number[order], v[order], u[order]
    first = np.r_[0, np.flatnonzero(np.diff(number)) + 1]
    low, high = (np.minimum.reduceat(x, first) for x in (u, v)), (np.maximum.reduceat(x, first) + 1 for x in (u, v))
    return {int(n): tuple(map(int, row)) for n, *row in zip(number[first], *low, *high)}


def _identity(seen: Observations) -> int:
    """Rider and bicycle, or the boards of a gantry, are pieces of one thing: each keeps a track of its own."""
    return seen.thing.track + PART_TRACKS * seen.piece.number


def _box(seen: Observations, snapshot: Snapshot, camera: Camera, box: dict, part: float) -> dict:
    away = _turned_away(seen, snapshot, camera)
    color = "none"
    if seen.piece.category == "traffic light" and not away:
        color = seen.thing.color or "none"
    attributes = {"occluded": part < 0.8, "truncated": _truncated(seen, snapshot, camera), "trafficLightColor": color}
    small = box["y2"] - box["y1"] < LEAST_HEIGHT or box["x2"] - box["x1"] < LEAST_WIDTH
    if part < LEAST_VISIBLE or small or (away and seen.piece.category == "traffic sign"):
        attributes["ignored"] = True
    return {"id": str(_identity(seen)), "category": seen.piece.category, "attributes": attributes, "box2d": box}


def _turned_away(seen: Observations, snapshot: Snapshot, camera: Camera) -> bool:
    """Signs and signals show their face along their -x."""
    eye = snapshot.world_from_base @ camera.base_from_camera[:, 3]
    toward = eye[:3] - seen.thing.world_from_object[:3, 3]
    return float(-seen.thing.world_from_object[:3, 0] @ toward) < 0.17 * float(np.linalg.norm(toward))


def _truncated(seen: Observations, snapshot: Snapshot, camera: Camera) -> bool:
    base_from_object = np.linalg.inv(snapshot.world_from_base) @ seen.thing.world_from_object
    pixels, depth = camera.project(seen.piece.hull @ base_from_object[:3, :3].T + base_from_object[:3, 3])
    outside = (pixels < -1).any(1) | (pixels[:, 0] > camera.width + 1) | (pixels[:, 1] > camera.height + 1)
    return bool((np.isnan(depth) | outside).any())


def _object(seen: Observations, snapshot: Snapshot, track: int, box: dict, part: float) -> dict:
    low, high = seen.piece.hull.min(0), seen.piece.hull.max(0)
    base_from_object = np.linalg.inv(snapshot.world_from_base) @ seen.thing.world_from_object
    position = base_from_object @ [*((low + high) / 2)[:2], low[2], 1]
    velocity = np.linalg.inv(snapshot.world_from_base)[:3, :3] @ [*seen.thing.velocity, 0.0]
    yaw = float(np.arctan2(base_from_object[1, 0], base_from_object[0, 0]))
    return {
        "track_id": track,
        "category": seen.piece.category,
        "position": _round(position[:3]),
        "yaw": round(yaw, 4),
        "size": _round(high - low),
        "velocity": _round(velocity[:2]),
        "box2d": box,
        "visible": round(part, 3),
    }


def _pose(snapshot: Snapshot, camera: Camera) -> dict:
    ego = {
        "speed": round(snapshot.speed, 4),
        "yaw_rate": round(snapshot.yaw_rate, 5),
        "world_from_base": _round(snapshot.world_from_base, 6),
    }
    return {
        "camera": camera.name,
        "intrinsics": list(map(float, camera.intrinsics)),
        "distortion": list(map(float, camera.distortion)),
        "base_from_camera": _round(camera.base_from_camera, 7),
        "ego": ego,
    }


def _curve(curve: LaneCurve) -> dict:
    return {
        "id": curve.number,
        "role": curve.role,
        "lineType": curve.style,
        "lineColor": curve.color,
        "points": _round(curve.points),
    }


def _lane(curve: LaneCurve) -> dict:
    edge, double = (
        curve.style in ("road_edge", "curb"),
        curve.style in ("double_solid", "double_dashed", "solid_dashed", "dashed_solid"),
    )
    color = curve.color if curve.color in ("white", "yellow") else "other"
    kind = "road curb" if edge else f"{'double' if double else 'single'} {color}"
    dashed = curve.style in ("dashed", "double_dashed", "botts_dots")
    attributes = {
        "laneDirection": "parallel",
        "laneStyle": "dashed" if dashed else "solid",
        "laneTypes": kind,
        "role": curve.role,
        "lineType": curve.style,
        "lineColor": curve.color,
    }
    vertices = _round(curve.pixels, 2)
    return {
        "id": str(curve.number),
        "category": "lane",
        "attributes": attributes,
        "poly2d": [{"vertices": vertices, "types": "L" * len(vertices), "closed": False}],
    }


def _round(array: np.ndarray, digits: int = 3) -> list:
    return np.round(np.asarray(array, float), digits).tolist()
