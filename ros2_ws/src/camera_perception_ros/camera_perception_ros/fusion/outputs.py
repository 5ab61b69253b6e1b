"""What the fusion publishes beside FusedPerception, each only while somebody listens.

What a fused message says about the surroundings of the car, for those who draw it.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np
from nav_msgs.msg import OccupancyGrid
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from camera_perception.draw.scene import Surroundings
from camera_perception.fusion.free_space import occupancy
from camera_perception_msgs.msg import FusedPerception, TrafficLight, TrafficLightElement
from camera_perception_ros.conversions.fused import lane_from_message, velocity_of
from camera_perception_ros.outputs.markers import Shown, markers
from camera_perception_ros.outputs.publishers import Output


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


LIGHTS = {TrafficLightElement.RED: "red", TrafficLightElement.AMBER: "amber", TrafficLightElement.GREEN: "green"}


def surroundings_from_fused(message: FusedPerception, roads: Sequence[np.ndarray] | None = None) -> Surroundings:
    """What a fused message says about the road around the car; roads, when given, instead of its one polygon."""
    found, road = message.objects, message.road
    ground = np.array([(point.x, point.y) for point in road.ground], float).reshape(-1, 2)
    return Surroundings(
        base_frame=message.header.frame_id,
        names=tuple(each.class_name for each in found),
        scores=np.array([each.score for each in found], float),
        track_ids=np.array([each.track_id for each in found], np.int64),
        positions=np.array([(each.position.x, each.position.y) for each in found], float).reshape(-1, 2),
        position_covs=np.array([each.position_cov for each in found], float).reshape(-1, 2, 2),
        velocities=np.array([velocity_of(each) for each in found], float).reshape(-1, 2),
        coasted=np.array([each.coasted for each in found], bool),
        lanes=tuple(lane_from_message(lane) for lane in message.lanes if lane.has_ground),
        roads=tuple(roads) if roads is not None else (ground,) if len(ground) >= 3 else (),
        free_distance=road.free_distance_ahead if road.has_ground else float("nan"),
        light=_own_light(message.traffic_lights),
        why_empty="no camera in time" if all(camera.stale for camera in message.cameras) else "",
    )


def _own_light(lights: Sequence[TrafficLight]) -> str:
    """Colour of the first lamp of the first light of the own lane; "" when none is known."""
    own = (light for light in lights if light.relevance == TrafficLight.EGO and light.elements)
    return next((LIGHTS.get(light.elements[0].color, "") for light in own), "")
