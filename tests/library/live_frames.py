"""Frames for tests of the live page, written by hand: what cameras of a car say about objects at known places."""

from __future__ import annotations

import cv2
import numpy as np

from camera_perception.core.types import EgoMotion
from camera_perception.io.perception_frame import ego_lane_fields, header_fields
from camera_perception.tools.live.protocol import LiveFrame

NS, START = 10**9, 1_700_000_000 * 10**9
NAN = float("nan")


def still(from_ns, to_ns):
    return EgoMotion(0.0, 0.0, 0.0)


def found(x, y, track_id, name="car"):
    """Fields of a DetectedObject at (x, y) metres, in the middle of an image of 320x192."""
    return {
        "class_id": 0, "class_name": name, "score": 0.8, "alternatives": [], "cx": 160.0, "cy": 100.0, "width": 40.0,
        "height": 30.0, "truncation": 0, "track_id": track_id, "track_age": 5, "coasted": False, "has_position": True,
        "position_method": 1, "position": {"x": x, "y": y, "z": 0.0}, "position_cov": [1.0, 0.0, 0.0, 0.25],
        "ground_width": 1.8, "range": float(np.hypot(x, y)), "bearing": 0.0, "has_velocity": False,
        "velocity": {"x": NAN, "y": NAN, "z": NAN}, "velocity_over_ground": False, "velocity_cov": [NAN] * 4,
    }  # fmt: skip


def _common(camera):
    numbers = {"image_width": 320, "image_height": 192, "frame_seq": 0, "frames_dropped": 0, "tasks_valid": 1}
    return {"camera_name": camera, **numbers, "status_flags": 0, "lanes": [], "scene": []}


def frame(camera, *objects, stamp_ns=START, base_frame="base_link", status=0):
    ground = [{"x": x, "y": y, "z": 0.0} for x, y in ((2.0, -4.0), (30.0, -4.0), (30.0, 4.0), (2.0, 4.0))]
    fields = {
        "header": header_fields(stamp_ns, camera),
        **_common(camera),
        **dict.fromkeys(("age_ms", "decode_ms", "preprocess_ms", "inference_ms", "postprocess_ms"), NAN),
        "status": status,
        "base_frame": base_frame,
        "objects": list(objects),
        "ego_lane": ego_lane_fields(None),
        "road": {"u": [], "v": [], "has_ground": True, "ground": ground, "free_distance_ahead": 30.0, "coverage": 0.5},
        "traffic_lights": [],
    }
    picture = cv2.imencode(".png", np.full((192, 320, 3), 90, np.uint8))[1].tobytes()
    return LiveFrame(camera, fields, picture, "image/png", 0.0)
