"""PerceptionFrames from strangers, damaged or endless: the other camera's objects and lines must come out."""

from __future__ import annotations

from array import array

import numpy as np
import pytest
from geometry_msgs.msg import Point32

from camera_perception import core
from camera_perception_msgs.msg import DetectedObject, DrivableArea, LaneLine, PerceptionFrame
from camera_perception_ros.conversions.fused import MOST_LINES, MOST_OBJECTS, view_from_frame
from camera_perception_ros.fusion.camera_state import CameraState
from camera_perception_ros.fusion.merger import Merger
from camera_perception_ros.fusion.outputs import surroundings_from_fused

SECOND = 10**9
NAN, INF = float("nan"), float("inf")


def detected(number: int, x: float = 10.0, **values: object) -> DetectedObject:
    found = DetectedObject(has_position=True, class_name="car", score=0.5, track_id=number)
    found.position.x, found.position.y = x, float(3 * number)
    found.position_cov = np.eye(2).ravel()
    return changed(found, values)


def line(**values: object) -> LaneLine:
    made = LaneLine(has_ground=True, score=0.9, position=1, x_min=1.0, x_max=30.0, poly=[1.0, 0.0, 0.0, 0.0])
    made.x, made.y, made.y_std = array("f", [1, 10, 30]), array("f", [1, 1, 1]), array("f", [0.1] * 3)
    return changed(made, values)


def changed(message, values):
    for name, value in values.items():
        setattr(message, name, value)
    return message


def frame(objects=(), lanes=(), road=()) -> PerceptionFrame:
    made = PerceptionFrame(base_frame="base_link", tasks_valid=7, objects=list(objects), lanes=list(lanes))
    made.road = DrivableArea(has_ground=bool(road), ground=[Point32(x=x, y=y) for x, y in road])
    made.header.stamp.sec = 100
    return made


HOSTILE = {
    "unknown type of line": frame(lanes=[line(line_type=77)]),
    "unknown colour": frame(lanes=[line(color=200)]),
    "lengths differ": frame(lanes=[line(y=array("f", [1.0]))]),
    "no deviations": frame(lanes=[line(y_std=array("f"))]),
    "no points": frame(lanes=[line(x=array("f"), y=array("f"), y_std=array("f"))]),
    "nan in a line": frame(lanes=[line(x=array("f", [NAN] * 3))]),
    "endless range": frame(lanes=[line(x_min=-INF, x_max=INF)]),
    "nan position": frame([detected(1, NAN)]),
    "endless position": frame([detected(1, INF)]),
    "negative covariance": frame([detected(1, position_cov=-np.eye(2).ravel())]),
    "nan score": frame([detected(1, score=NAN)]),
    "nan road": frame(road=[(NAN, NAN)] * 4),
    "endless road": frame(road=[(0.0, 0.0), (INF, 0.0), (0.0, 5.0)]),
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_frame_of_one_camera_leaves_the_other(hostile):
    merger = Merger([CameraState("hostile"), CameraState("good")], "base_link", 1.0)
    merger.cameras[0].take(hostile)
    merger.cameras[1].take(frame([detected(9, 25.0)], [line()]))
    fused = merger.merge(100 * SECOND)
    assert any(found.position.x == pytest.approx(25.0, abs=0.5) for found in fused.objects)
    assert fused.lanes
    surroundings_from_fused(fused, merger.roads)


@pytest.mark.parametrize(("method", "used"), [(1, 1), (4, 4), (5, 0), (255, 0)])
def test_unknown_ways_to_measure_a_position_are_none(method, used):
    assert view_from_frame(frame([detected(1, position_method=method)])).methods.tolist() == [used]


def test_of_too_many_objects_and_lines_the_best_are_used():
    many = [detected(number, score=number / 10_000) for number in range(3000)]
    view = view_from_frame(frame(many, [line() for _ in range(1000)], [(float(x), 0.0) for x in range(5000)]))
    assert sorted(view.track_ids) == list(range(3000 - MOST_OBJECTS, 3000))
    assert (len(view.lanes), len(view.polygon)) == (MOST_LINES, 1000)


def test_an_endless_frame_costs_no_more_than_the_limit():
    """Tracks of the fusion are compared in pairs: 3,000 objects took a third of a second for each message."""
    merger = Merger([CameraState("hostile")], "base_link", 1.0)
    merger.cameras[0].take(frame([detected(number) for number in range(3000)]))
    assert len(merger.merge(100 * SECOND).objects) <= MOST_OBJECTS


@pytest.mark.parametrize("count", [0, 1, 20])
def test_objects_are_read_in_the_same_way_without_the_compiled_function(count, monkeypatch):
    rng = np.random.default_rng(0)
    objects = [detected(number, score=0.01 * number, coasted=number % 3 == 0) for number in range(count)]
    for found in objects:
        found.velocity.x, found.velocity.y = rng.uniform(-9, 9, 2).tolist()
        found.has_velocity, found.velocity_over_ground = bool(rng.random() < 0.7), bool(rng.random() < 0.5)
        found.position_cov, found.velocity_cov = rng.uniform(0, 1, (2, 4)).astype(np.float32)
    views = [view_from_frame(frame(objects))]
    monkeypatch.setattr(core, "kernels", None)
    views.append(view_from_frame(frame(objects)))
    for name in ("scores", "track_ids", "positions", "position_covs", "velocities", "velocity_covs", "coasted"):
        np.testing.assert_array_equal(*(getattr(view, name) for view in views), err_msg=name)
    assert views[0].over_ground == views[1].over_ground
