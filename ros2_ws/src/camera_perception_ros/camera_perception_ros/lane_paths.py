"""The lines of the own lane as paths."""

from __future__ import annotations

from geometry_msgs.msg import Point, PoseStamped
from nav_msgs.msg import Path
from std_msgs.msg import Header

from camera_perception.surroundings import Surroundings


def lane_path(seen: Surroundings, stamp: Header, position: int) -> Path:
    """The own lane's left (-1) or right (1) line as a path in base_link; empty when it is not seen."""
    path = Path(header=Header(stamp=stamp.stamp, frame_id=seen.base_frame))
    own = (line.ground for line in seen.lanes if line.position == position and line.ground is not None)
    ground = next(own, None) if seen.base_frame else None
    for x, y in ground.points.tolist() if ground is not None else ():
        pose = PoseStamped(header=path.header)
        pose.pose.position, pose.pose.orientation.w = Point(x=x, y=y), 1.0
        path.poses.append(pose)
    return path
