"""The free road of all cameras as one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from geometry_msgs.msg import Point32

from camera_perception.free_space import joined
from camera_perception.fuse import Motion
from camera_perception.fused_types import CameraView
from camera_perception.kalman import rotation
from camera_perception.types import EgoMotion
from camera_perception_msgs.msg import DrivableArea

STILL = EgoMotion(0.0, 0.0, 0.0)


def joined_road(views: Mapping[int, CameraView], now_ns: int, motion: Motion) -> DrivableArea:
    """The union of the polygons, moved with the car to now; the free distance of the first camera that knows one.

    motion  of the car between two times; None between times it does not know, then a polygon stays as it was seen
    """
    moves = [(view, motion(view.stamp_ns, now_ns) or STILL) for view in views.values()]
    ground = joined([_moved(view.polygon, move) for view, move in moves])
    ahead = (view.free_distance - move.x for view, move in moves if np.isfinite(view.free_distance))
    return DrivableArea(
        has_ground=len(ground) > 0,
        ground=[Point32(x=float(x), y=float(y)) for x, y in ground],
        free_distance_ahead=max(next(ahead, float("nan")), 0.0),
        coverage=float("nan"),
    )


def _moved(polygon: np.ndarray, motion: EgoMotion) -> np.ndarray:
    return (polygon - (motion.x, motion.y)) @ rotation(-motion.yaw).T
