"""The cameras of a recording as one, for the page: what a fusion node would say about the frames that are shown.

The page gets the fields of a FusedPerception as JSON text, the same from here as from a fusion node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from camera_perception.core.types import EgoMotion, GroundLine, LaneLine, LineColor, LineType
from camera_perception.fusion.free_space import merge_polygons
from camera_perception.fusion.lanes import LaneFuser
from camera_perception.fusion.objects import Motion, ObjectFuser
from camera_perception.fusion.types import AGE, ID, METHOD, SCORE, WIDTH, CameraView, FusedObjects
from camera_perception.geometry.kalman import rotation
from camera_perception.io.perception_frame import INVALID, ego_lane_fields, lane_fields
from camera_perception.objects.footprint import footprint
from camera_perception.tools.live.protocol import LiveFrame, to_json

FUSED = " fused"  # key in the hub; no camera's name starts with a space
MAX_AGE_NS = 500_000_000  # of a frame, as of a fusion node
STANDSTILL = EgoMotion(0.0, 0.0, 0.0)


class LiveFusion:
    """Fuses the frames that are shown, in their order; used by one thread.

    motion  of the car between two stamps, None where it is unknown
    """

    def __init__(self, cameras: Sequence[str], motion: Motion) -> None:
        self._cameras, self._motion = list(cameras), motion
        self.reset()

    def reset(self) -> None:
        """Forget everything, as after a seek."""
        self._frames: dict[int, tuple[Mapping[str, Any], CameraView]] = {}
        self._objects, self._lanes = ObjectFuser(len(self._cameras)), LaneFuser()

    def update(self, frame: LiveFrame) -> str | None:
        """The fused view at the time of a new frame, as text for the page; None without two cameras in metres."""
        if len(self._cameras) < 2 or frame.camera not in self._cameras:
            return None
        view = view_from_fields(frame.fields)
        self._frames[self._cameras.index(frame.camera)] = frame.fields, view
        now_ns = view.stamp_ns
        views = {
            index: view
            for index, (fields, view) in sorted(self._frames.items())
            if abs(now_ns - view.stamp_ns) <= MAX_AGE_NS and fields.get("base_frame") and fields["status"] != INVALID
        }
        return fused_text(self._fused(views, now_ns), self._cameras) if len(views) > 1 else None

    def _fused(self, views: Mapping[int, CameraView], now_ns: int) -> dict[str, Any]:
        lanes = self._lanes.update(views, now_ns, self._motion)
        return {
            "cameras": [{"camera_name": name, "stale": index not in views} for index, name in enumerate(self._cameras)],
            "objects": _objects(self._objects.update(views, now_ns, self._motion)),
            "lanes": [lane_fields(lane) for lane in lanes],
            "ego_lane": ego_lane_fields(self._lanes.ego_lane(lanes)),
            "road": self._road(views, now_ns),
        }

    def _road(self, views: Mapping[int, CameraView], now_ns: int) -> dict[str, Any]:
        """The union of the polygons, and the smallest free distance."""
        moved = {index: self._motion(view.stamp_ns, now_ns) or STANDSTILL for index, view in views.items()}
        polygons = [
            (view.polygon - (moved[index].x, moved[index].y)) @ rotation(-moved[index].yaw).T
            for index, view in views.items()
            if len(view.polygon) >= 3
        ]
        ground = merge_polygons(polygons)
        ahead = [v.free_distance - moved[i].x for i, v in views.items() if np.isfinite(v.free_distance)]
        return {
            "has_ground": len(ground) > 0,
            "ground": [{"x": x, "y": y} for x, y in ground.tolist()],
            "free_distance_ahead": max(min(ahead, default=float("nan")), 0.0),
        }


def fused_text(fields: Mapping[str, Any], cameras: Sequence[str]) -> str:
    """The message to the page: the fields of a FusedPerception, with names of cameras and footprints of objects."""
    objects = [{**item, "footprint": _footprint(item)} for item in fields["objects"]]
    return to_json({"type": "fused", "names": list(cameras), "perception": {**fields, "objects": objects}})


def _footprint(item: Mapping[str, Any]) -> np.ndarray:
    """(4, 2) corners in metres."""
    position, velocity = ([item[name]["x"], item[name]["y"]] for name in ("position", "velocity"))
    return footprint(np.array(position, float), str(item["class_name"]), np.nan_to_num(np.array(velocity, float)))


def _objects(fused: FusedObjects) -> list[dict[str, Any]]:
    moving, over_ground, coasted = fused.moving.tolist(), fused.over_ground.tolist(), fused.coasted.tolist()
    return [
        {
            "class_name": fused.names[row],
            "score": fused.numbers[row, SCORE],
            "track_id": int(fused.counts[row, ID]),
            "track_age": int(fused.counts[row, AGE]),
            "coasted": coasted[row],
            "position_method": int(fused.counts[row, METHOD]),
            "position": _point(fused.positions[row]),
            "position_cov": fused.position_covs[row].ravel(),
            "ground_width": fused.numbers[row, WIDTH],
            "has_velocity": moving[row],
            "velocity": _point(fused.velocities[row]),
            "velocity_over_ground": moving[row] and bool(over_ground[row]),
            "cameras": np.flatnonzero(fused.rows[row] >= 0),
            "camera_track_ids": fused.camera_ids[row][fused.rows[row] >= 0],
        }
        for row in range(len(fused))
    ]


def _point(xy: np.ndarray) -> dict[str, float]:
    return {"x": float(xy[0]), "y": float(xy[1])}


def view_from_fields(fields: Mapping[str, Any]) -> CameraView:
    """The metric content of the fields of a PerceptionFrame."""
    stamp, road = fields["header"]["stamp"], fields["road"]
    found = [item for item in fields.get("objects", ()) if item["has_position"]]
    columns = ("score", "track_id", "position_method", "ground_width", "coasted")
    scores, ids, methods, widths, coasted = np.array(
        [[float(item[name]) for name in columns] for item in found], float
    ).reshape(-1, 5).T  # fmt: skip
    return CameraView(
        stamp_ns=stamp["sec"] * 10**9 + stamp["nanosec"],
        names=tuple(str(item["class_name"]) for item in found),
        scores=scores,
        track_ids=ids.astype(np.int64),
        positions=_points(found, "position"),
        position_covs=np.array([item["position_cov"] for item in found], float).reshape(-1, 2, 2),
        velocities=_points(found, "velocity"),
        velocity_covs=np.array([item["velocity_cov"] for item in found], float).reshape(-1, 2, 2),
        over_ground=any(item["velocity_over_ground"] for item in found),
        methods=methods.astype(int),
        ground_widths=widths,
        coasted=coasted.astype(bool),
        lanes=tuple(_line(lane) for lane in fields.get("lanes", ()) if _fits(lane)),
        polygon=np.array([(point["x"], point["y"]) for point in road["ground"]], float).reshape(-1, 2),
        free_distance=float(road["free_distance_ahead"]) if road["has_ground"] else float("nan"),
    )


def _points(found: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    return np.array([(item[name]["x"], item[name]["y"]) for item in found], float).reshape(-1, 2)


def _fits(lane: Mapping[str, Any]) -> bool:
    """Whether a line has ground geometry whose fields have one length."""
    return bool(lane["has_ground"]) and len(lane["x"]) == len(lane["y"]) == len(lane["y_std"])


def _line(lane: Mapping[str, Any]) -> LaneLine:
    points, y_std = np.array((lane["x"], lane["y"]), np.float32).T, np.array(lane["y_std"], np.float32)
    ground = GroundLine(points, y_std, np.array(lane["poly"], np.float32), lane["x_min"], lane["x_max"])
    return LaneLine(
        points=np.zeros((0, 2), np.float32),
        score=lane["score"],
        position=lane["position"],
        line_type=LineType(lane["line_type"]),
        type_score=lane["type_score"],
        color=LineColor(lane["color"]),
        color_score=lane["color_score"],
        lane_id=lane["lane_id"],
        ground=ground,
    )
