"""The optional outputs of the fusion node, markers and an occupancy grid, and a fused message as Surroundings."""

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
from camera_perception_ros.conversions.fused import ground_lines, velocity_of
from camera_perception_ros.outputs.markers import MarkerUpdates, markers
from camera_perception_ros.outputs.publishers import Output


def occupancy_message(surroundings: Surroundings, header: Header) -> OccupancyGrid:
    """A grid around the car: free road, objects with their footprint, unknown cells."""
    grid = occupancy(surroundings.roads, surroundings.footprints())
    message = OccupancyGrid(header=header, data=array("b", grid.cells.tobytes()))
    info = message.info
    info.map_load_time, info.resolution = header.stamp, grid.resolution
    info.height, info.width = grid.cells.shape
    info.origin.position.x, info.origin.position.y = grid.origin
    info.origin.orientation.w = 1.0
    return message


def fused_outputs() -> list[Output]:
    """New outputs: the markers remember what was published. They get surroundings, header and traffic lights."""
    updates = MarkerUpdates()
    return [
        Output("~/markers", MarkerArray, lambda each, header, lights: updates.message(markers(each, header))),
        Output("~/occupancy", OccupancyGrid, lambda each, header, lights: occupancy_message(each, header)),
    ]


LIGHTS = {TrafficLightElement.RED: "red", TrafficLightElement.AMBER: "amber", TrafficLightElement.GREEN: "green"}


def surroundings_from_fused(message: FusedPerception, roads: Sequence[np.ndarray] | None = None) -> Surroundings:
    """A fused message as Surroundings; roads replace its one polygon if given."""
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
        lanes=ground_lines(message.lanes),
        roads=tuple(roads) if roads is not None else (ground,) if len(ground) >= 3 else (),
        free_distance=road.free_distance_ahead if road.has_ground else float("nan"),
        light=_own_light(message.traffic_lights),
        velocity_covs=np.array([each.velocity_cov for each in found], float).reshape(-1, 2, 2),
        over_ground=np.array([each.velocity_over_ground for each in found], bool),
        why_empty="no camera in time" if all(camera.stale for camera in message.cameras) else "",
    )


def _own_light(lights: Sequence[TrafficLight]) -> str:
    """Colour of the first lamp of the first light that governs the own lane; "" when unknown."""
    own = (light for light in lights if light.relevance == TrafficLight.EGO and light.elements)
    return next((LIGHTS.get(light.elements[0].color, "") for light in own), "")
