"""What the fusion publishes beside FusedPerception, each only while somebody listens."""

from __future__ import annotations

from array import array

from nav_msgs.msg import OccupancyGrid
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from camera_perception.free_space import occupancy
from camera_perception.surroundings import Surroundings
from camera_perception_ros.markers import Shown, markers
from camera_perception_ros.outputs import Output


def occupancy_message(seen: Surroundings, header: Header) -> OccupancyGrid:
    """Free road, things with their footprint, and what nobody knows, around the car."""
    grid = occupancy(seen.roads, seen.footprints())
    message = OccupancyGrid(header=header, data=array("b", grid.cells.tobytes()))
    info = message.info
    info.map_load_time, info.resolution = header.stamp, grid.resolution
    info.height, info.width = grid.cells.shape
    info.origin.position.x, info.origin.position.y = grid.origin
    info.origin.orientation.w = 1.0
    return message


def fused_outputs() -> list[Output]:
    """Fresh ones: the markers remember what was shown."""
    shown = Shown()
    return [
        Output("~/markers", MarkerArray, lambda seen, header: shown.changed_to(markers(seen, header))),
        Output("~/occupancy", OccupancyGrid, occupancy_message),
    ]
