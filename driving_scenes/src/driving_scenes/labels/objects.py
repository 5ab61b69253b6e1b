"""Labels of a rendered image: boxes, masks and the truth record, in the format of README.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike

from driving_scenes.base.camera import Camera
from driving_scenes.base.semantic_ids import BARS, BUILDING, FENCE, IGNORE, ROAD, SIDEWALK, VEGETATION
from driving_scenes.labels.lanes import LaneCurve, lane_curves
from driving_scenes.renderer.rendered_image import IGNORE_CODE, LabelledPiece, RenderedImage
from driving_scenes.scene.drive import Snapshot

# Objects below these limits are marked "ignored": no annotator would draw a box around them, so they are neither
# targets nor mistakes (KITTI's hardest protocol stops at 25 of 375 pixel rows, ours at 6 of 384).
LEAST_VISIBLE, LEAST_HEIGHT, LEAST_WIDTH = 0.25, 6, 3
OCCLUDED_BELOW = 0.8  # visible fraction
PART_TRACKS = 1_000_000  # times the number of the piece, added to the track of its object
BEHIND_BARS = (0, BUILDING, ROAD, SIDEWALK, VEGETATION)  # what is seen between bars counts as fence; objects do not
BARS_APART = 0.035  # of the image's width: most between two bars of a fence
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
    """Labels of one image: Scalabel boxes and lanes, masks (H, W) uint8, the truth record, and ids (H, W) uint16."""

    attributes: dict[str, str]
    boxes: list[dict[str, Any]]
    lanes: list[dict[str, Any]]
    drivable: np.ndarray
    semantic: np.ndarray
    truth: dict[str, Any]
    ids: np.ndarray


def label(snapshot: Snapshot, camera: Camera, rendered: RenderedImage, unoccluded: np.ndarray) -> Labels:
    """Labels of the final, distorted image; `unoccluded` are the pixels of each labelled piece without occlusion."""
    ids, codes, depth = (_distorted(x, camera) for x in (rendered.ids, rendered.labels, rendered.depth))
    visible = np.clip(rendered.visible_counts() / np.maximum(unoccluded, 1), 0, 1)
    boxes, objects = [], []
    for number, (x1, y1, x2, y2) in _extents(ids).items():
        labelled, fraction = rendered.labelled[number - 1], float(visible[number - 1])
        box = {"x1": float(x1), "y1": float(y1), "x2": float(x2), "y2": float(y2)}
        boxes.append(_box(labelled, snapshot, camera, box, fraction))
        objects.append(_object(labelled, snapshot, box, fraction))
    curves = lane_curves(snapshot, camera, depth, codes)
    semantic, drivable = codes & 15, codes >> 4
    semantic[semantic == IGNORE_CODE] = IGNORE
    drivable[drivable == IGNORE_CODE] = IGNORE
    between_bars = _between_bars(semantic, depth)
    semantic[between_bars | (semantic == BARS)], drivable[between_bars] = FENCE, 0
    truth = {"objects": objects, "lanes": [_curve(c) for c in curves], **_pose(snapshot, camera)}
    return Labels(_attributes(snapshot), boxes, [_lane(c) for c in curves], drivable, semantic, truth, ids)


def _between_bars(semantic: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """(H, W) bool: background that is seen between the bars of fences; annotators draw fences without holes.

    depth  (H, W) metres; what is nearer than the bars stays
    """
    bars: np.ndarray = semantic == BARS
    wide = int(semantic.shape[1] * BARS_APART) | 1
    if not bars.any():
        return bars
    kernel = np.ones((wide // 3 | 1, wide), np.uint8)
    closed = cv2.morphologyEx(
        bars.astype(np.uint8), cv2.MORPH_CLOSE, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0
    )
    nearest = cv2.erode(np.where(bars, depth, np.float32(np.inf)).astype(np.float32), kernel)
    return np.asarray((closed > 0) & (depth > nearest) & np.isin(semantic, BEHIND_BARS))


def _attributes(snapshot: Snapshot) -> dict[str, str]:
    """Scene, weather and time as far as they are visible: neither of the last two in tunnels, no clouds at night."""
    weather, time = snapshot.conditions.weather, snapshot.conditions.timeofday
    if snapshot.world.road_type == "tunnel":
        weather, time = "undefined", "undefined"
    elif time == "night" and weather in ("partly cloudy", "overcast"):
        weather = "undefined"
    return {"weather": weather, "scene": SCENES[snapshot.world.road_type], "timeofday": time}


def _distorted(image: np.ndarray, camera: Camera) -> np.ndarray:
    return image.copy() if camera.lookup is None else cv2.remap(image, *camera.lookup, cv2.INTER_NEAREST)


def _extents(ids: np.ndarray) -> dict[int, tuple[int, int, int, int]]:
    """Half-open pixel extents x1 y1 x2 y2 of every id."""
    v, u = np.nonzero(ids)
    if not len(v):
        return {}
    number = ids[v, u]
    order = np.argsort(number, kind="stable")
    number, v, u = number[order], v[order], u[order]
    first = np.r_[0, np.flatnonzero(np.diff(number)) + 1]
    columns = [
        *(np.minimum.reduceat(x, first) for x in (u, v)),
        *(np.maximum.reduceat(x, first) + 1 for x in (u, v)),
    ]
    rows = zip(number[first], *columns)
    return {int(n): (int(x1), int(y1), int(x2), int(y2)) for n, x1, y1, x2, y2 in rows}


def _track_id(labelled: LabelledPiece) -> int:
    """Pieces of one object (rider and bicycle, boards of a gantry) have tracks of their own."""
    return labelled.obj.track + PART_TRACKS * labelled.piece.number


def _box(
    labelled: LabelledPiece, snapshot: Snapshot, camera: Camera, box: dict[str, float], visible: float
) -> dict[str, Any]:
    category, away = labelled.piece.category, _turned_away(labelled, snapshot, camera)
    color = "none"
    if category == "traffic light" and not away:
        color = labelled.obj.color or "none"
    attributes = {
        "occluded": visible < OCCLUDED_BELOW,
        "truncated": _truncated(labelled, snapshot, camera),
        "trafficLightColor": color,
    }
    small = box["y2"] - box["y1"] < LEAST_HEIGHT or box["x2"] - box["x1"] < LEAST_WIDTH
    if visible < LEAST_VISIBLE or small or (away and category == "traffic sign"):
        attributes["ignored"] = True
    return {"id": str(_track_id(labelled)), "category": category, "attributes": attributes, "box2d": box}


def _turned_away(labelled: LabelledPiece, snapshot: Snapshot, camera: Camera) -> bool:
    """Whether the camera sees the back of a sign or signal; their faces point along their -x."""
    camera_position = snapshot.world_from_base @ camera.base_from_camera[:, 3]
    toward = camera_position[:3] - labelled.obj.world_from_object[:3, 3]
    return float(-labelled.obj.world_from_object[:3, 0] @ toward) < 0.17 * float(np.linalg.norm(toward))


def _truncated(labelled: LabelledPiece, snapshot: Snapshot, camera: Camera) -> bool:
    base_from_object = np.linalg.inv(snapshot.world_from_base) @ labelled.obj.world_from_object
    pixels, depth = camera.project(labelled.piece.hull @ base_from_object[:3, :3].T + base_from_object[:3, 3])
    outside = (pixels < -1).any(1) | (pixels[:, 0] > camera.width + 1) | (pixels[:, 1] > camera.height + 1)
    return bool((np.isnan(depth) | outside).any())


def _object(labelled: LabelledPiece, snapshot: Snapshot, box: dict[str, float], visible: float) -> dict[str, Any]:
    low, high = labelled.piece.hull.min(0), labelled.piece.hull.max(0)
    base_from_object = np.linalg.inv(snapshot.world_from_base) @ labelled.obj.world_from_object
    position = base_from_object @ [*((low + high) / 2)[:2], low[2], 1]
    velocity = np.linalg.inv(snapshot.world_from_base)[:3, :3] @ [*labelled.obj.velocity, 0.0]
    yaw = float(np.arctan2(base_from_object[1, 0], base_from_object[0, 0]))
    return {
        "track_id": _track_id(labelled),
        "category": labelled.piece.category,
        "position": _round(position[:3]),
        "yaw": round(yaw, 4),
        "size": _round(high - low),
        "velocity": _round(velocity[:2]),
        "box2d": box,
        "visible": round(visible, 3),
    }


def _pose(snapshot: Snapshot, camera: Camera) -> dict[str, Any]:
    return {
        "camera": camera.name,
        "intrinsics": list(map(float, camera.intrinsics)),
        "distortion": list(map(float, camera.distortion)),
        "base_from_camera": _round(camera.base_from_camera, 7),
        "ego": {
            "speed": round(snapshot.speed, 4),
            "yaw_rate": round(snapshot.yaw_rate, 5),
            "world_from_base": _round(snapshot.world_from_base, 6),
        },
    }


def _curve(curve: LaneCurve) -> dict[str, Any]:
    return {
        "id": curve.number,
        "role": curve.role,
        "lineType": curve.style,
        "lineColor": curve.color,
        "points": _round(curve.points),
    }


def _lane(curve: LaneCurve) -> dict[str, Any]:
    vertices = _round(curve.pixels, 2)
    return {
        "id": str(curve.number),
        "category": "lane",
        "attributes": {
            "laneDirection": "parallel",
            "laneStyle": "dashed" if curve.style in ("dashed", "double_dashed", "botts_dots") else "solid",
            "laneTypes": _bdd_lane_type(curve),
            "role": curve.role,
            "lineType": curve.style,
            "lineColor": curve.color,
        },
        "poly2d": [{"vertices": vertices, "types": "L" * len(vertices), "closed": False}],
    }


def _bdd_lane_type(curve: LaneCurve) -> str:
    """Lane type in BDD100K's names, such as `single white`."""
    if curve.style in ("road_edge", "curb"):
        return "road curb"
    double = curve.style in ("double_solid", "double_dashed", "solid_dashed", "dashed_solid")
    color = curve.color if curve.color in ("white", "yellow") else "other"
    return f"{'double' if double else 'single'} {color}"


def _round(array: ArrayLike, digits: int = 3) -> list[Any]:
    values: list[Any] = np.round(np.asarray(array, float), digits).tolist()
    return values
