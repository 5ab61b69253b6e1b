"""PerceptionFrame messages: every field is filled, and unknown values never look like data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from camera_perception.core.model_spec import load_spec
from camera_perception.core.types import (
    Detections,
    Frame,
    GroundLine,
    LaneLine,
    LineColor,
    LineType,
    Objects,
    Perception,
    PositionMethod,
    Road,
    SceneAttribute,
    Status,
    Task,
    Timing,
)
from camera_perception.io.cdr import serialize
from camera_perception.io.perception_frame import DEGRADED, INVALID, OK, perception_fields, status_of
from camera_perception.io.ros_types import PERCEPTION_FRAME, deserialize, message_files, typestore

CAR, LIGHT = 2, 8


@pytest.fixture(scope="module")
def spec(tiny_model):
    return load_spec(tiny_model)


def perception(**changes) -> Perception:
    frame = Frame(np.zeros((720, 1280, 3), np.uint8), 1_700_000_000_123_456_789, "front_optical")
    nothing = Perception(frame, Task(0), Objects.of(Detections.empty(4)), (), None, None, None, ())
    return replace(nothing, **changes)


def objects(classes, scores=None, states=None) -> Objects:
    n = len(classes)
    boxes = np.tile(np.array([100, 200, 160, 240], np.float32), (n, 1))
    scores = np.asarray(scores or [0.9] * n, np.float32)
    states = np.asarray(states if states is not None else np.zeros((n, 4)), np.float32).reshape(n, 4)
    return Objects.of(Detections(boxes, scores, np.asarray(classes, np.int32), states))


def lane(position=0, u=(600, 620), **changes) -> LaneLine:
    points = np.array([[u[0], 700], [u[1], 500]], np.float32)
    return replace(LaneLine(points, 0.8, position, LineType.DASHED, 0.7, LineColor.YELLOW, 0.6, 5), **changes)


def message(spec, value, **options):
    """Through bytes, as a subscriber would see it."""
    return deserialize(PERCEPTION_FRAME, serialize(PERCEPTION_FRAME, perception_fields(value, spec, **options)))


def fields_of(kind):
    return {name for name, _ in typestore().fielddefs[f"camera_perception_msgs/msg/{kind}"][1]}


def test_every_field_of_every_part_is_named(spec):
    road = Road(np.array([[1, 2]], np.float32), np.array([[3, 4]], np.float32), 5.0, 0.5)
    full = perception(
        objects=objects([CAR, LIGHT], states=[[0, 0, 0, 0], [0.9, 0, 0.1, 0]]),
        lanes=(lane(),),
        road=road,
        scene=(SceneAttribute("weather", "rainy", 0.5),),
    )
    fields = perception_fields(full, spec)
    assert set(fields) == fields_of("PerceptionFrame")
    assert set(fields["objects"][0]) == fields_of("DetectedObject")
    assert set(fields["lanes"][0]) == fields_of("LaneLine")
    assert set(fields["ego_lane"]) == fields_of("EgoLane")
    assert set(fields["road"]) == fields_of("DrivableArea")
    assert set(fields["traffic_lights"][0]) == fields_of("TrafficLight")
    assert set(fields["traffic_lights"][0]["elements"][0]) == fields_of("TrafficLightElement")
    assert set(fields["scene"][0]) == fields_of("SceneAttribute")


def test_a_frame_without_detections_is_valid_and_has_no_invented_numbers(spec):
    sent = message(spec, perception())
    assert (sent.header.stamp.sec, sent.header.stamp.nanosec) == (1_700_000_000, 123_456_789)
    assert (sent.header.frame_id, sent.image_width, sent.image_height) == ("front_optical", 1280, 720)
    assert (sent.objects, sent.lanes, sent.traffic_lights, sent.scene) == ([], [], [], [])
    assert np.isnan([sent.age_ms, sent.road.coverage, sent.road.free_distance_ahead, sent.ego_lane.offset]).all()
    assert not sent.ego_lane.valid
    assert not sent.road.has_ground


def test_frame_data_and_times(spec):
    value = perception(tasks=Task.OBJECTS | Task.LANES, timing=Timing(1, 2, 3, 4), base_frame="base_link")
    sent = message(spec, value, camera_name="front", engine_id="abc", frame_seq=7, frames_dropped=2, age_ms=12.5)
    assert (sent.camera_name, sent.engine_id, sent.frame_seq, sent.frames_dropped) == ("front", "abc", 7, 2)
    assert (sent.decode_ms, sent.preprocess_ms, sent.inference_ms, sent.postprocess_ms, sent.age_ms) == (
        1,
        2,
        3,
        4,
        12.5,
    )
    assert (sent.tasks_valid, sent.base_frame, sent.model_name, sent.model_version) == (3, "base_link", "tiny", "1")


def test_objects_come_by_falling_score(spec):
    sent = message(spec, perception(objects=objects([CAR, 0, 3], [0.3, 0.9, 0.5]))).objects
    assert [(o.class_name, round(o.score, 2)) for o in sent] == [("pedestrian", 0.9), ("truck", 0.5), ("car", 0.3)]
    assert (sent[0].cx, sent[0].cy, sent[0].width, sent[0].height) == (130, 220, 60, 40)


def test_metric_fields_only_where_they_are_known(spec):
    known = objects([CAR])
    known.positions[0], known.position_covs[0] = (3.0, 4.0, 0.0), [[1, 0.2], [0.2, 2]]
    known.position_methods[0] = PositionMethod.GROUND_PLANE
    known.velocities[0] = (1.0, -2.0)
    sent = message(spec, perception(objects=known)).objects[0]
    assert sent.has_position
    assert sent.position_method == 1
    assert (sent.position.x, sent.position.y, sent.range) == (3, 4, 5)
    assert sent.bearing == pytest.approx(np.arctan2(4, 3))
    np.testing.assert_allclose(sent.position_cov, [1, 0.2, 0.2, 2])
    assert (sent.has_velocity, sent.velocity.y, sent.velocity_over_ground) == (True, -2, False)
    unknown = message(spec, perception(objects=objects([CAR]))).objects[0]
    assert (unknown.has_position, unknown.has_velocity, unknown.position_method) == (False, False, 0)
    assert np.isnan([unknown.position.x, unknown.range, unknown.bearing, unknown.velocity.z]).all()


@pytest.mark.parametrize(
    ("states", "lamps"),
    [
        ([0.9, 0.0, 0.1, 0.0], [(1, 16, 14)]),
        ([0.0, 0.8, 0.1, 0.1], [(2, 16, 14)]),
        ([0.0, 0.1, 0.9, 0.0], [(3, 16, 14)]),
        ([0.1, 0.0, 0.1, 0.8], []),
        ([0.2, 0.1, 0.1, 0.1], []),
        ([np.nan] * 4, []),
    ],
)
def test_traffic_lights_have_their_own_list(spec, states, lamps):
    sent = message(spec, perception(objects=objects([LIGHT, CAR], states=[states, [0] * 4])))
    assert [o.class_name for o in sent.objects] == ["car"]
    assert len(sent.traffic_lights) == 1
    assert [(e.color, e.shape, e.status) for e in sent.traffic_lights[0].elements] == lamps


def test_lamp_constants_equal_those_of_the_message(spec):
    constants = {
        name: value for name, _, value in typestore().fielddefs["camera_perception_msgs/msg/TrafficLightElement"][0]
    }
    assert [constants[n] for n in ("RED", "AMBER", "GREEN", "WHITE", "SOLID_ON", "UNKNOWN")] == [1, 2, 3, 4, 14, 16]


def test_lanes_are_sorted_from_left_to_right(spec):
    by_role = message(spec, perception(lanes=(lane(1, (10, 10)), lane(-2, (900, 900)), lane(-1, (500, 500)))))
    assert [line.position for line in by_role.lanes] == [-2, -1, 1]
    by_position = message(spec, perception(lanes=(lane(0, (900, 700)), lane(1, (100, 600)))))
    assert [line.u[0] for line in by_position.lanes] == [100, 900]


def test_a_lane_line_keeps_its_type_points_and_ground_line(spec):
    points = np.array([[5, 1], [10, 1.1]], np.float32)
    ground = GroundLine(points, np.array([0.1, 0.2], np.float32), np.array([1, 0, 0, 0], np.float32), 5.0, 10.0)
    sent = message(spec, perception(lanes=(lane(-1, ground=ground),))).lanes[0]
    assert (sent.lane_id, sent.line_type, sent.color) == (5, LineType.DASHED, LineColor.YELLOW)
    np.testing.assert_array_equal(sent.v, [700, 500])
    np.testing.assert_array_equal(sent.x, [5, 10])
    assert (sent.has_ground, sent.x_max) == (True, 10)
    flat = message(spec, perception(lanes=(lane(-1),))).lanes[0]
    assert not flat.has_ground
    assert np.isnan([*flat.poly, flat.x_min]).all()


@pytest.mark.parametrize(
    ("flags", "status"),
    [
        (Status(0), OK),
        (Status.DROPPING | Status.CPU_FALLBACK, OK),
        (Status.UNCALIBRATED, DEGRADED),
        (Status.IMAGE_BLURRED, DEGRADED),
        (Status.IMAGE_BLOCKED | Status.DROPPING, INVALID),
        (Status.ENGINE_ERROR, INVALID),
    ],
)
def test_status_follows_from_the_flags(spec, flags, status):
    assert status_of(flags) == status
    sent = message(spec, perception(status_flags=int(flags)))
    assert (sent.status, sent.status_flags) == (status, flags)


def test_status_bits_equal_those_of_the_message():
    constants = {name: value for name, _, value in typestore().fielddefs[PERCEPTION_FRAME][0]}
    assert {flag.name: int(flag) for flag in Status} == {name: constants[name] for name in Status.__members__}
    assert {task.name: int(task) for task in Task} == {name: constants[name] for name in Task.__members__}
    assert (constants["OK"], constants["DEGRADED"], constants["INVALID"]) == (OK, DEGRADED, INVALID)


def test_line_constants_equal_those_of_the_message():
    constants = {name: value for name, _, value in typestore().fielddefs["camera_perception_msgs/msg/LaneLine"][0]}
    for member in [*LineType, *LineColor]:
        assert constants[member.name] == member


def test_large_track_ids_wrap_and_long_track_ages_saturate(spec):
    tracked = objects([CAR])
    tracked.track_ids[0], tracked.ages[0] = 2**32 + 5, 70_000
    sent = message(spec, perception(objects=tracked)).objects[0]
    assert (sent.track_id, sent.track_age) == (5, 65535)


def test_the_packaged_message_files_are_the_messages(repository):
    source = repository / "ros2_ws" / "src" / "camera_perception_msgs" / "msg"
    assert message_files() == {path.stem: path.read_text() for path in source.glob("*.msg")}
