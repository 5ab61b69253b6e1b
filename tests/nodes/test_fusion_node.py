"""Fusion of several cameras in base_link; dead and late cameras are reported and delay nothing."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from driving import RELIABLE, Listener, parameters
from geometry_msgs.msg import Point, Point32
from nav_msgs.msg import OccupancyGrid
from rclpy.node import Node
from visualization_msgs.msg import MarkerArray

from camera_perception_msgs.msg import (
    CameraHealth,
    DetectedObject,
    DrivableArea,
    FusedPerception,
    LaneLine,
    PerceptionFrame,
    SceneAttribute,
    TrafficLight,
)
from camera_perception_ros.conversions.messages import time_from_ns
from camera_perception_ros.fusion.camera_state import CameraState
from camera_perception_ros.fusion.merger import Merger
from camera_perception_ros.nodes.fusion_node import FusionNode

NOW = 1_000_000_000_000
MS = 1_000_000


def detected(x: float, name: str = "car", **more: Any) -> DetectedObject:
    cov = np.array([0.25, 0.0, 0.0, 0.25], np.float32)
    position = {"has_position": True, "position": Point(x=x), "position_cov": cov, "range": abs(x)}
    return DetectedObject(class_name=name, track_id=7, **position, **more)


def frame(stamp_ns: int = NOW, *objects: DetectedObject, **more: Any) -> PerceptionFrame:
    message = PerceptionFrame(
        base_frame="base_link", tasks_valid=PerceptionFrame.OBJECTS, objects=list(objects), **more
    )
    message.header.stamp = time_from_ns(stamp_ns)
    return message


def state(name: str, *frames: PerceptionFrame) -> CameraState:
    camera = CameraState(name)
    for each in frames:
        camera.take(each)
    return camera


def merge(cameras: list[CameraState], now_ns: int, base_frame: str, max_age: float) -> FusedPerception:
    return Merger(cameras, base_frame, max_age).merge(now_ns)


def test_no_camera_is_an_invalid_message():
    message = merge([CameraState("front")], NOW, "base_link", 0.5)
    assert message.status == PerceptionFrame.INVALID
    assert message.cameras[0].stale
    assert message.age_ms != message.age_ms
    assert message.objects == []


def test_objects_of_all_cameras_are_sorted_by_distance_and_have_their_own_ids():
    front, rear = (
        state("front", frame(NOW, detected(30.0), detected(5.0))),
        state("rear", frame(NOW - 20 * MS, detected(-12.0))),
    )
    message = merge([front, rear], NOW, "base_link", 0.5)
    assert [found.position.x for found in message.objects] == [5.0, -12.0, 30.0]
    assert [list(found.cameras) for found in message.objects] == [[0], [1], [0]]
    assert message.objects[0].track_id != message.objects[1].track_id != 0
    assert message.status == PerceptionFrame.OK
    assert message.age_ms == pytest.approx(20.0)


def test_a_late_camera_is_left_out_and_reported():
    front, rear = state("front", frame(NOW, detected(5.0))), state("rear", frame(NOW - 900 * MS, detected(-12.0)))
    message = merge([front, rear], NOW, "base_link", 0.5)
    assert [found.position.x for found in message.objects] == [5.0]
    assert [camera.stale for camera in message.cameras] == [False, True]
    assert message.cameras[1].status == PerceptionFrame.INVALID
    assert message.cameras[1].age_ms == pytest.approx(900.0)
    assert message.status == PerceptionFrame.DEGRADED


def test_a_frame_from_the_future_is_stale_after_a_clock_jump():
    assert state("front", frame(NOW + 5000 * MS)).stale(NOW, 0.5)


def test_an_uncalibrated_camera_gives_lights_and_scene_but_no_objects():
    image = frame(NOW, detected(5.0), scene=[SceneAttribute(name="weather", label="rainy", score=0.6)])
    image.base_frame = ""
    image.traffic_lights = [TrafficLight(score=0.9)]
    other = frame(NOW, scene=[SceneAttribute(name="weather", label="clear", score=0.8)])
    message = merge([state("front", image), state("rear", other)], NOW, "base_link", 0.5)
    assert (message.objects, message.lanes) == ([], [])
    assert list(message.traffic_light_cameras) == [0]
    assert [(entry.name, entry.label) for entry in message.scene] == [("weather", "clear")]


@pytest.mark.parametrize("labels", [["rainy", "unknown"], ["unknown", "rainy"]])
def test_a_camera_that_does_not_know_the_weather_leaves_it_to_the_others(labels):
    frames = [
        frame(NOW, scene=[SceneAttribute(name="weather", label=e, score=0.9 if e == "unknown" else 0.5)])
        for e in labels
    ]
    message = merge([state(name, each) for name, each in zip(("front", "rear"), frames)], NOW, "base_link", 0.5)
    assert [entry.label for entry in message.scene] == ["rainy"]


def test_lanes_keep_their_ground_geometry_and_lose_their_pixels():
    image = frame(NOW)
    x = [4.0, 8.0, 12.0, 16.0, 20.0]
    course = {"x": x, "y": [1.8] * 5, "y_std": [0.1] * 5, "x_min": 4.0, "x_max": 20.0, "u": [5.0] * 5, "v": [6.0] * 5}
    course["poly"] = np.array([1.8, 0.0, 0.0, 0.0], np.float32)
    image.lanes = [LaneLine(lane_id=3, has_ground=True, **course), LaneLine(lane_id=4)]
    message = merge([state("front", image)], NOW, "base_link", 0.5)
    assert [(lane.has_ground, len(lane.u), lane.position) for lane in message.lanes] == [(True, 0, LaneLine.EGO_LEFT)]
    assert message.lanes[0].poly[0] == pytest.approx(1.8, abs=1e-3)


def own_lines(left: float, right: float, y_std: float) -> list[LaneLine]:
    x = np.linspace(4.0, 40.0, 19, dtype=np.float32)
    sides = ((left, LaneLine.EGO_LEFT), (right, LaneLine.EGO_RIGHT))
    return [
        LaneLine(
            lane_id=number, position=side, has_ground=True, x=x.tolist(), y=[y] * 19, y_std=[y_std] * 19,
            x_min=4.0, x_max=40.0, poly=np.array([y, 0.0, 0.0, 0.0], np.float32),
        )
        for number, (y, side) in enumerate(sides, 1)
    ]  # fmt: skip


def test_the_own_lane_is_fused_from_all_cameras():
    """Lines 0.3 m apart with sigmas of 0.2 and 0.1 m: a fifth of the way from the more certain one to the other."""
    frames = [frame(NOW, lanes=own_lines(2.05, -1.45, 0.2)), frame(NOW, lanes=own_lines(1.75, -1.75, 0.1))]
    frames[0].ego_lane.valid, frames[0].ego_lane.offset = True, -0.3
    lane = merge([state(str(number), each) for number, each in enumerate(frames)], NOW, "base_link", 0.5).ego_lane
    assert lane.valid
    assert (lane.offset, lane.width) == pytest.approx((-0.06, 3.5), abs=5e-3)


def test_without_own_lines_there_is_no_own_lane():
    lane = merge([state("front", frame(NOW))], NOW, "base_link", 0.5).ego_lane
    assert not lane.valid
    assert np.isnan([lane.offset, lane.width, lane.curvature]).all()


def test_an_object_detected_by_two_cameras_is_one_object():
    front, left = state("front", frame(NOW, detected(20.0))), state("left", frame(NOW, detected(20.6)))
    found = merge([front, left], NOW, "base_link", 0.5).objects
    assert [list(each.cameras) for each in found] == [[0, 1]]
    assert 20.0 < found[0].position.x < 20.6


def test_odometry_compensates_the_motion_since_the_frame():
    merger = Merger([state("front", frame(NOW - 100 * MS, detected(30.0)))], "base_link", 0.5)
    for number in range(21):
        merger.odometry.add(NOW - 200 * MS + number * 10 * MS, 0.2 * number, 0.0, 0.0)  # 20 m/s
    message = merger.merge(NOW)
    assert message.motion_compensated
    assert message.objects[0].position.x == pytest.approx(28.0, abs=0.01)


def road_frame(stamp_ns: int, x_min: float, x_max: float, ahead: float) -> PerceptionFrame:
    """A camera that sees a free strip, 10 m wide."""
    corners = ((x_min, -5.0), (x_max, -5.0), (x_max, 5.0), (x_min, 5.0))
    ground = [Point32(x=x, y=y) for x, y in corners]
    return frame(stamp_ns, road=DrivableArea(has_ground=True, ground=ground, free_distance_ahead=ahead))


def test_the_road_is_the_union_of_all_cameras():
    front, rear = road_frame(NOW, 0.0, 20.0, 20.0), road_frame(NOW, -15.0, 5.0, float("nan"))
    road = merge([state("rear", rear), state("front", front)], NOW, "base_link", 0.5).road
    xs = [point.x for point in road.ground]
    assert (min(xs), max(xs)) == pytest.approx((-15.0, 20.0), abs=1.0)
    assert (road.has_ground, road.free_distance_ahead) == (True, 20.0)
    assert road.coverage != road.coverage


@pytest.mark.parametrize("distances", [(20.0, 12.0), (12.0, 20.0), (float("nan"), 12.0)])
def test_the_free_distance_is_the_smallest_of_all_cameras(distances):
    cameras = [state(f"camera{i}", road_frame(NOW, 0.0, 20.0, ahead)) for i, ahead in enumerate(distances)]
    assert merge(cameras, NOW, "base_link", 0.5).road.free_distance_ahead == 12.0


def test_odometry_moves_the_road_towards_the_car():
    merger = Merger([state("front", road_frame(NOW - 100 * MS, 0.0, 20.0, 20.0))], "base_link", 0.5)
    for number in range(21):
        merger.odometry.add(NOW - 200 * MS + number * 10 * MS, 0.2 * number, 0.0, 0.0)  # 20 m/s
    road = merger.merge(NOW).road
    assert max(point.x for point in road.ground) == pytest.approx(18.0, abs=0.01)
    assert road.free_distance_ahead == pytest.approx(18.0, abs=0.01)


def test_without_a_road_has_ground_is_false():
    road = merge([state("front", frame(NOW))], NOW, "base_link", 0.5).road
    assert (road.has_ground, len(road.ground)) == (False, 0)
    assert road.free_distance_ahead != road.free_distance_ahead


def test_the_rate_and_the_counts_of_a_camera_are_reported():
    frames = [frame(NOW + number * 50 * MS, frames_dropped=number % 2) for number in range(10)]
    health: CameraHealth = merge([state("front", *frames)], NOW + 460 * MS, "base_link", 0.5).cameras[0]
    assert health.rate == pytest.approx(20.0)
    assert (health.frames_received, health.frames_dropped) == (10, 5)


def test_the_node_keeps_running_when_a_camera_dies(context, executor, spin_until):
    options = {"context": context, "use_global_arguments": False}
    node = FusionNode(parameter_overrides=parameters(cameras=["front", "rear"], rate=50.0, max_age=0.3), **options)
    outside = Node("outside", **options)
    for each in (node, outside):
        executor.add_node(each)
    node.start()
    publishers = [
        outside.create_publisher(PerceptionFrame, f"{name}/camera_perception/perception", RELIABLE)
        for name in ("front", "rear")
    ]
    listener = Listener(outside, FusedPerception, "/fusion/fused")
    spin_until(lambda: all(publisher.get_subscription_count() for publisher in publishers) and listener.messages)

    def publish(*numbers: int) -> None:
        for number in numbers:
            publishers[number].publish(frame(outside.get_clock().now().nanoseconds, detected(5.0 - 20.0 * number)))

    def both() -> bool:
        publish(0, 1)
        return len(listener.messages[-1].objects) == 2

    spin_until(both, what="objects of both cameras")
    died = time.monotonic()

    def only_one() -> bool:
        publish(0)
        return len(listener.messages[-1].objects) == 1

    spin_until(only_one, what="the dead camera to be left out")
    assert time.monotonic() - died > 0.2
    assert [camera.stale for camera in listener.messages[-1].cameras] == [False, True]
    sequence = [message.seq for message in listener.messages]
    assert sequence == list(range(sequence[0], sequence[0] + len(sequence)))


def test_grid_and_markers_are_published_while_they_have_subscribers(context, executor, spin_until):
    options = {"context": context, "use_global_arguments": False}
    node = FusionNode(parameter_overrides=parameters(cameras=["front", "rear"], rate=50.0), **options)
    outside = Node("outside", **options)
    for each in (node, outside):
        executor.add_node(each)
    node.start()
    now = outside.get_clock().now().nanoseconds
    for camera, x in zip(node.active.merger.cameras, (10.0, -10.0)):
        camera.take(road_frame(now, x - 5.0, x + 5.0, float("nan")))
    assert not node.configured.outputs.wanted()
    grids, marked = (
        Listener(outside, OccupancyGrid, "/fusion/occupancy"),
        Listener(outside, MarkerArray, "/fusion/markers"),
    )
    spin_until(lambda: grids.messages and marked.messages, what="grid and markers")
    grid = grids.messages[0]
    assert grid.header.frame_id == "base_link"
    assert list(grid.data).count(0) == pytest.approx(2 * 10 * 10 / 0.5**2, rel=0.15)  # both roads, though apart
    assert {marker.ns for marker in marked.messages[0].markers} == {"road"}
    node.trigger_deactivate()
    node.trigger_cleanup()


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({}, "'cameras' is empty"),
        ({"cameras": ["a", "a"]}, "names a camera twice"),
        ({"cameras": ["a", "b"], "topics": ["x"]}, "1 entries for 2 cameras"),
        ({"camera": ["a"]}, "did you mean 'cameras'?"),
    ],
)
def test_wrong_parameters_leave_the_node_unconfigured(context, executor, capfd, overrides, words):
    node = FusionNode(context=context, use_global_arguments=False, parameter_overrides=parameters(**overrides))
    executor.add_node(node)
    node.start()
    assert node.lifecycle_state == "unconfigured"
    assert words in capfd.readouterr().err


def test_a_frame_older_than_the_latest_is_counted_and_left_out():
    camera = state(
        "front", frame(NOW, detected(20.0)), frame(NOW - 100 * MS, detected(21.0)), frame(NOW, detected(5.0))
    )
    message = merge([camera], NOW, "base_link", 0.5)
    assert [found.position.x for found in message.objects] == [20.0]
    assert message.cameras[0].frames_received == 3


def test_a_restarted_recording_is_followed():
    camera = state("front", frame(NOW, detected(20.0)), frame(NOW - 5000 * MS, detected(8.0)))
    message = merge([camera], NOW - 4990 * MS, "base_link", 0.5)
    assert [found.position.x for found in message.objects] == [8.0]


def test_the_content_of_an_invalid_frame_is_ignored():
    """A frozen camera keeps sending: its health is reported, its objects, lights and scene are not used."""
    still = frame(NOW, detected(20.0), status=PerceptionFrame.INVALID, status_flags=PerceptionFrame.IMAGE_FROZEN)
    still.traffic_lights = [TrafficLight(score=0.9)]
    still.scene = [SceneAttribute(name="weather", label="rainy", score=0.9)]
    message = merge([state("front", still), state("rear", frame(NOW, detected(-9.0)))], NOW, "base_link", 0.5)
    assert [found.position.x for found in message.objects] == [-9.0]
    assert (message.traffic_lights, message.scene) == ([], [])
    assert message.status == PerceptionFrame.DEGRADED
    assert message.status_flags & PerceptionFrame.IMAGE_FROZEN
    assert [camera.status for camera in message.cameras] == [PerceptionFrame.INVALID, PerceptionFrame.OK]


def test_objects_with_nan_positions_are_left_out():
    nowhere = detected(float("nan"))
    vague = detected(12.0)
    vague.position_cov = np.full(4, np.nan, np.float32)
    message = merge([state("front", frame(NOW, nowhere, vague, detected(20.0)))], NOW, "base_link", 0.5)
    assert [found.position.x for found in message.objects] == [20.0]
