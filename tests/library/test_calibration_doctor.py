"""A camera that was knocked is found out, one that was not is left alone; and lights that are ours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from camera_perception.core.types import Detections, GroundLine, LaneLine, Objects, Relevance, Status
from camera_perception.geometry.camera import Camera, optical_from_rpy
from camera_perception.geometry.ground import RoadPitch
from camera_perception.lanes.online_calibration import CalibrationDoctor, sight
from camera_perception.objects.relevance import light_positions, light_relevances

K = np.array([[1000.0, 0, 640], [0, 1000, 360], [0, 0, 1]])
STEP = 100_000_000


def camera(pitch: float = 1.0, yaw: float = 0.0, height: float = 1.4) -> Camera:
    """Angles in degrees."""
    return Camera(
        1280, 720, K, np.zeros(0), base_from_camera=optical_from_rpy((1.5, 0, height), (0, *np.radians((pitch, yaw))))
    )


def lines(true: Camera, poly=(0.0, 0.0, 0.0), width: float = 3.5, rng=None) -> tuple[LaneLine, LaneLine]:
    """The own lane as the true camera sees it."""
    x, found = np.linspace(7, 50, 40), []
    for side in (1, -1):
        y = np.polynomial.polynomial.polyval(x, poly) + side * width / 2
        pixels = true.pixels_from_base(np.c_[x, y, np.zeros(40)])
        if rng is not None:
            pixels += rng.normal(0, 1.0, pixels.shape)
        found.append(LaneLine(pixels.astype(np.float32), 0.9, position=-side))
    return found[0], found[1]


@pytest.mark.parametrize(
    ("true", "pitch", "yaw", "width"),
    [
        (camera(), 0.0, 0.0, 3.5),
        (camera(pitch=1.8), 0.8, 0.0, 3.5),
        (camera(pitch=-0.5), -1.5, 0.0, 3.5),
        (camera(yaw=2.0), 0.0, 2.0, 3.5),
        (camera(height=1.12), 0.0, 0.0, 3.5 * 1.4 / 1.12),
    ],
)
def test_what_lines_say_is_what_was_done_to_the_camera(true, pitch, yaw, width):
    left, right = lines(true)
    found = sight(left.points, right.points, camera())
    assert np.degrees((found.pitch, found.yaw)) == pytest.approx((pitch, yaw), abs=0.02)
    assert found.width == pytest.approx(width, rel=2e-3)


def test_a_bend_says_nothing():
    left, right = lines(camera(), (0.0, 0.0, 4e-3))
    assert sight(left.points, right.points, camera()) is None


@pytest.mark.parametrize("points", [np.zeros((0, 2)), np.full((40, 2), np.nan), np.tile((640.0, 700.0), (40, 1))])
def test_a_line_that_is_none_says_nothing(points):
    assert sight(points, lines(camera())[1].points, camera()) is None


def drive(true: Camera, seconds: int = 10, **more) -> CalibrationDoctor:
    doctor, given, rng = CalibrationDoctor(), camera(), np.random.default_rng(1)
    for i in range(seconds * 10):
        nod = replace(true, base_from_camera=true.pitched(rng.normal(0, np.radians(0.3))).pose)
        doctor.update(lines(nod, (0.0, rng.normal(0, 0.01), 0.0), rng=rng, **more), given, i * STEP)
    return doctor


@pytest.mark.parametrize(
    ("true", "drifted", "metric"),
    [
        (camera(), False, True),
        (camera(pitch=1.3), False, True),
        (camera(pitch=2.0), True, True),
        (camera(pitch=3.0), True, False),
        (camera(yaw=-3.0), True, True),
        (camera(yaw=7.0), True, False),
        (camera(height=1.0), True, True),
        (camera(height=2.4), True, False),
    ],
)
def test_a_knock_is_flagged_and_a_hard_one_ends_the_metres(true, drifted, metric):
    found = drive(true).diagnosis
    assert (found.flags == Status.CALIBRATION_DRIFT, found.metric) == (drifted, metric)


def test_lanes_of_any_country_raise_no_alarm():
    for width in (2.75, 3.0, 3.75, 4.2):
        assert drive(camera(), width=width).diagnosis.flags == Status(0)


def test_nothing_is_said_too_early_and_a_new_calibration_begins_anew():
    assert drive(camera(pitch=3.0), seconds=2).diagnosis.frames == 0
    doctor = drive(camera(pitch=3.0))
    assert not doctor.diagnosis.metric
    fixed = camera(pitch=3.0)
    assert doctor.update(lines(fixed), fixed, 10**12).metric


def light(x: float, y: float, z: float) -> tuple[float, ...]:
    """Box of a housing 0.95 m high and 0.35 m wide."""
    low, high = (camera().pixels_from_base(np.array([[x, y, z + dz]]))[0] for dz in (-0.475, 0.475))
    half = 0.175 * 1000 / (x - 1.5)
    return (low[0] - half, high[1], low[0] + half, low[1])


def objects(*boxes: tuple[float, ...]) -> Objects:
    n = len(boxes)
    found = Detections(
        np.array(boxes, np.float32), np.ones(n, np.float32), np.zeros(n, np.int32), np.zeros((n, 0), np.float32)
    )
    return Objects.of(found)


def test_a_light_hangs_where_its_size_says():
    np.testing.assert_allclose(
        light_positions(np.array([light(40.0, -3.0, 5.5)]), camera()), [[40.0, -3.0, 5.5]], rtol=0.02
    )


def bent_lane(bend: float) -> list[LaneLine]:
    x, lanes = np.linspace(5, 50, 20), []
    for side in (1, -1):
        poly = np.array([side * 1.75, 0.0, bend, 0.0], np.float32)
        points = np.c_[x, np.polynomial.polynomial.polyval(x, poly)].astype(np.float32)
        ground = GroundLine(points, np.full(20, 0.1, np.float32), poly, 5.0, 50.0)
        lanes.append(LaneLine(points, 0.9, position=-side, ground=ground))
    return lanes


@pytest.mark.parametrize(
    ("place", "bend", "relevance"),
    [
        ((40, 0, 5.5), 0.0, Relevance.EGO),  # over the lane
        ((40, -4, 3.0), 0.0, Relevance.EGO),  # on its right side
        ((40, 12, 5.5), 0.0, Relevance.OTHER),  # over the other road
        ((40, 6.5, 5.5), 0.0, Relevance.UNKNOWN),  # the next lane but one: left turn?
        ((40, 0, 0.8), 0.0, Relevance.UNKNOWN),  # a reflection, a tail light
        ((40, 8, 5.5), 5e-3, Relevance.EGO),  # the lane bends there
        ((40, 0, 5.5), 1e-2, Relevance.OTHER),  # and leaves this one aside
    ],
)
def test_a_light_is_ours_when_our_lane_leads_to_it(place, bend, relevance):
    found = light_relevances(objects(light(*place)), 0, bent_lane(bend), camera())
    assert found.tolist() == [relevance]


def test_without_metres_or_for_what_is_no_light_relevance_is_unknown():
    assert light_relevances(objects(light(40, 0, 5)), 0, (), None).tolist() == [Relevance.UNKNOWN]
    assert light_relevances(objects(light(40, 0, 5)), 3, (), camera()).tolist() == [Relevance.UNKNOWN]
    assert light_relevances(objects(light(40, 0, 5)), 0, (), camera()).tolist() == [Relevance.EGO]


def test_the_pitch_of_the_moment_follows_lines_and_goes_back_without_them():
    pitch, true = RoadPitch(), np.radians(0.8)
    start = pitch.sigma
    for i in range(20):
        pitch.update(true, i * STEP)
    assert pitch.angle == pytest.approx(true, rel=0.2)
    assert pitch.sigma < 0.6 * start
    for i in range(20, 60):
        pitch.update(None, i * STEP)
    assert abs(pitch.angle) < 0.1 * true
    assert pitch.sigma == pytest.approx(start, rel=0.05)


def test_one_frame_far_off_is_not_believed():
    pitch = RoadPitch()
    pitch.update(np.radians(8.0), 0)
    assert pitch.angle == 0.0
