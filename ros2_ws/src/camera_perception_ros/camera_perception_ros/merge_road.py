"""The free road of all cameras as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from geometry_msgs.msg import Point32

from camera_perception.free_space import joined
from camera_perception.fuse import Motion
from camera_perception.fused_types import CameraView
from camera_perception.kalman import rotation
from camera_perception.types import EgoMotion
from camera_perception_msgs.msg import DrivableArea

STILL = EgoMotion(0.0, 0.0, 0.0)


def moved_roads(views: Mapping[int, CameraView], now_ns: int, motion: Motion) -> list[np.ndarray]:
    """The polygon of each camera that sees a free road, moved with the car to now.

    motion  of the car between two times; None between times it does not know, then a polygon stays as it was seen
    """
    seen = [view for view in views.values() if len(view.polygon) >= 3]
    return [_moved(view.polygon, motion(view.stamp_ns, now_ns) or STILL) for view in seen]


def joined_road(
    roads: Sequence[np.ndarray], views: Mapping[int, CameraView], now_ns: int, motion: Motion
) -> DrivableArea:
    """The union of polygons; the least of the free distances, for what one camera sees in the way is in the way."""
    ground = joined(roads)
    known = (view for view in views.values() if np.isfinite(view.free_distance))
    ahead = (view.free_distance - (motion(view.stamp_ns, now_ns) or STILL).x for view in known)
    return DrivableArea(
        has_ground=len(ground) > 0,
        ground=[Point32(x=x, y=y) for x, y in ground.tolist()],
        free_distance_ahead=max(min(ahead, default=float("nan")), 0.0),
        coverage=float("nan"),
    )


def _moved(polygon: np.ndarray, motion: EgoMotion) -> np.ndarray:
    return (polygon - (motion.x, motion.y)) @ rotation(-motion.yaw).T
