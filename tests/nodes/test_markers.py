"""Markers have the right position, shape and colour, and are deleted when their object is gone."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from nav_msgs.msg import OccupancyGrid
from rclpy.serialization import deserialize_message
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from camera_perception.core.types import GroundLine, LaneLine, LineColor, LineType
from camera_perception.draw.scene import Surroundings
from camera_perception_msgs.msg import TrafficLight, TrafficLightElement
from camera_perception_ros.fusion.camera_state import CameraState
from camera_perception_ros.fusion.merger import Merger
from camera_perception_ros.fusion.outputs import occupancy_message, surroundings_from_fused
from camera_perception_ros.outputs import markers as outputs
from camera_perception_ros.outputs.markers import MarkerUpdates, lane_path

HEADER = Header(stamp=Time(sec=7), frame_id="front_optical")


def around(*positions: tuple[float, float], names: tuple[str, ...] = (), **more: Any) -> Surroundings:
    n = len(positions)
    values = {
        "scores": np.full(n, 0.8),
        "track_ids": np.arange(1, n + 1),
        "positions": np.array(positions, float).reshape(n, 2),
        "position_covs": np.tile(np.eye(2), (n, 1, 1)),
        "velocities": np.full((n, 2), np.nan),
        "coasted": np.zeros(n, bool),
    }
    return Surroundings("base_link", names or ("car",) * n, **{**values, **more})


def line(line_type: LineType, color: LineColor = LineColor.WHITE, y: float = 1.75) -> LaneLine:
    x = np.linspace(5, 45, 41, dtype=np.float32)
    points = np.column_stack((x, np.full(41, y, np.float32)))
    ground = GroundLine(points, np.full(41, 0.1), np.array([y, 0, 0, 0]), 5.0, 45.0)
    return LaneLine(np.zeros((0, 2), np.float32), 0.9, -1, line_type, 0.9, color, 0.9, 3, ground)


def markers(surroundings: Surroundings, header: Header, updates: MarkerUpdates | None = None) -> list[Marker]:
    """The markers as subscribers get them."""
    data = (updates or MarkerUpdates()).message(outputs.markers(surroundings, header))
    return deserialize_message(data, MarkerArray).markers


def by_namespace(found: list[Marker]) -> dict[str, list[Marker]]:
    return {marker.ns: [each for each in found if each.ns == marker.ns] for marker in found}


def test_without_objects_or_calibration_there_are_no_markers():
    assert markers(around(), HEADER) == []
    assert markers(replace(around((20, 0)), base_frame=""), HEADER) == []


def test_a_car_ahead_is_a_body_behind_its_contact_point_with_a_label_and_an_uncertainty():
    found = by_namespace(markers(around((20, 0)), HEADER))
    assert set(found) == {"objects", "labels", "uncertainty"}
    box = found["objects"][0]
    assert (box.pose.position.x, box.pose.position.y) == pytest.approx((22.25, 0.0))
    assert (box.header.frame_id, box.header.stamp.sec, box.id) == ("base_link", 7, 1)
    assert found["labels"][0].text == "car 0.80"
    ring = np.array([(point.x, point.y) for point in found["uncertainty"][0].points])
    np.testing.assert_allclose(np.hypot(ring[:, 0] - 20, ring[:, 1]), 2.0, atol=1e-9)  # two sigma of 1 m


def test_a_moving_object_is_turned_and_has_an_arrow_of_one_second():
    found = by_namespace(markers(around((20, 0), velocities=np.array([[0.0, 6.0]])), HEADER))
    tip = found["velocity"][0].points[1]
    assert (tip.x, tip.y) == (20.0, 6.0)
    turn = found["objects"][0].pose.orientation
    assert 2 * math.atan2(turn.z, turn.w) == pytest.approx(math.pi / 2)


def test_a_coasted_object_is_paler():
    detected, coasting = (markers(around((20, 0), coasted=np.array([coasted])), HEADER)[0] for coasted in (False, True))
    assert coasting.color.a < detected.color.a


@pytest.mark.parametrize(
    ("line_type", "fraction", "sides"),
    [(LineType.SOLID, 1.0, {1.75}), (LineType.DASHED, 7 / 13, {1.75}), (LineType.DOUBLE_SOLID, 2.0, {1.93, 1.57})],
)
def test_a_lane_line_has_the_pattern_of_its_paint(line_type, fraction, sides):
    lane = by_namespace(markers(around(lanes=(line(line_type),)), HEADER))["lanes"][0]
    ends = np.array([(point.x, point.y) for point in lane.points]).reshape(-1, 2, 2)
    painted = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1).sum()
    assert painted == pytest.approx(40 * fraction, rel=0.05)
    assert {round(float(y), 2) for y in ends[:, :, 1].ravel()} == sides


def test_solid_is_left_of_dashed_when_it_is_named_first():
    lane = by_namespace(markers(around(lanes=(line(LineType.SOLID_DASHED),)), HEADER))["lanes"][0]
    ends = np.array([(point.x, point.y) for point in lane.points]).reshape(-1, 2, 2)
    left = ends[ends[:, 0, 1] > 1.75]
    assert np.linalg.norm(left[:, 1] - left[:, 0], axis=1).sum() == pytest.approx(40)


def test_a_yellow_line_is_yellow():
    lane = by_namespace(markers(around(lanes=(line(LineType.SOLID, LineColor.YELLOW),)), HEADER))["lanes"][0]
    assert lane.color.r > 0.9 > lane.color.g > 0.6 > 0.3 > lane.color.b


def test_the_free_road_is_a_closed_border_and_a_bar():
    square = np.array([[0, -5], [20, -5], [20, 5], [0, 5]], float)
    found = by_namespace(markers(around(roads=(square,), free_distance=20.0), HEADER))
    border = [(point.x, point.y) for point in found["road"][0].points]
    assert border[0] == border[-1]
    assert [point.x for point in found["free"][0].points] == [20.0, 20.0]
    assert found["free"][1].text == "free 20 m"


def test_the_own_light_is_drawn_above_the_own_car():
    lamp, word = by_namespace(markers(around(light="red"), HEADER))["light"]
    assert (lamp.pose.position.x, lamp.pose.position.y, word.text) == (0.0, 0.0, "red")
    assert lamp.color.r > lamp.color.g


def test_a_marker_that_is_gone_is_deleted_once():
    updates = MarkerUpdates()
    markers(around((20, 0), (40, 3)), HEADER, updates)
    second = markers(around((20, 0)), HEADER, updates)
    gone = {(marker.ns, marker.id) for marker in second if marker.action == Marker.DELETE}
    assert gone == {("objects", 2), ("labels", 2), ("uncertainty", 2)}
    third = markers(around((20, 0)), HEADER, updates)
    assert {marker.action for marker in third} == {Marker.ADD}


def test_ids_fit_into_the_message_and_untracked_objects_have_different_ones():
    surroundings = around((20, 0), (30, 0), (40, 0), track_ids=np.array([2**31 + 5, 0, 0]))
    ids = [marker.id for marker in markers(surroundings, HEADER) if marker.ns == "objects"]
    assert ids == [5, -2, -3]


def test_everything_lives_longer_than_two_periods_of_a_slow_camera():
    found = markers(around((20, 0), lanes=(line(LineType.SOLID),), light="red"), HEADER)
    assert {(marker.lifetime.sec, marker.lifetime.nanosec) for marker in found} == {(0, 500_000_000)}


def test_the_path_of_an_own_line_is_empty_without_a_detection():
    path = lane_path(around(lanes=(line(LineType.SOLID),)), HEADER, -1)
    assert (len(path.poses), path.header.frame_id) == (41, "base_link")
    assert lane_path(around(), HEADER, 1).poses == []


def test_the_grid_message_puts_cells_where_they_are():
    square = np.array([[0, -5], [20, -5], [20, 5], [0, 5]], float)
    message: OccupancyGrid = occupancy_message(around((10, 0), roads=(square,)), HEADER)
    info = message.info
    assert (info.width, info.height, info.resolution) == (200, 120, 0.5)
    cells = np.array(message.data).reshape(info.height, info.width)

    def at(x: float, y: float) -> int:
        column, row = ((value - start) / info.resolution for value, start in _starts(x, y, info.origin.position))
        return int(cells[int(row), int(column)])

    assert [at(12.3, 0.3), at(5.3, 0.3), at(30.0, 0.0)] == [100, 0, -1]


def _starts(x: float, y: float, origin: Any) -> tuple[tuple[float, float], ...]:
    return (x, origin.x), (y, origin.y)


def test_only_the_state_of_the_own_light_is_taken_from_a_fused_message():
    message = Merger([CameraState("front")], "base_link", 0.5).merge(0)
    red = TrafficLight(elements=[TrafficLightElement(color=TrafficLightElement.RED)], relevance=TrafficLight.OTHER)
    green = TrafficLight(elements=[TrafficLightElement(color=TrafficLightElement.GREEN)], relevance=TrafficLight.EGO)
    message.traffic_lights = [red, TrafficLight(relevance=TrafficLight.EGO), green]
    assert surroundings_from_fused(message).light == "green"
    message.traffic_lights = [red]
    assert surroundings_from_fused(message).light == ""
    assert surroundings_from_fused(message).why_empty == "no camera in time"
