"""Online calibration detects a moved camera and no other; relevance of traffic lights; road pitch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from camera_perception.core.types import Detections, GroundLine, LaneLine, Objects, Relevance, Status
from camera_perception.geometry.camera import Camera, optical_from_rpy
from camera_perception.geometry.ground import RoadPitch
from camera_perception.lanes.online_calibration import OnlineCalibration, measure_calibration
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
def test_measured_errors_match_the_applied_rotation(true, pitch, yaw, width):
    left, right = lines(true)
    found = measure_calibration(left.points, right.points, camera())
    assert np.degrees((found.pitch, found.yaw)) == pytest.approx((pitch, yaw), abs=0.02)
    assert found.width == pytest.approx(width, rel=2e-3)


def test_a_curve_gives_no_measurement():
    left, right = lines(camera(), (0.0, 0.0, 4e-3))
    assert measure_calibration(left.points, right.points, camera()) is None


@pytest.mark.parametrize("points", [np.zeros((0, 2)), np.full((40, 2), np.nan), np.tile((640.0, 700.0), (40, 1))])
def test_an_invalid_line_gives_no_measurement(points):
    assert measure_calibration(points, lines(camera())[1].points, camera()) is None


def drive(true: Camera, seconds: int = 10, **more) -> OnlineCalibration:
    calibration, given, rng = OnlineCalibration(), camera(), np.random.default_rng(1)
    for i in range(seconds * 10):
        nod = replace(true, base_from_camera=true.pitched(rng.normal(0, np.radians(0.3))).pose)
        calibration.update(lines(nod, (0.0, rng.normal(0, 0.01), 0.0), rng=rng, **more), given, i * STEP)
    return calibration


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
def test_drift_is_flagged_and_large_drift_disables_metric_output(true, drifted, metric):
    found = drive(true).estimate
    assert (found.flags == Status.CALIBRATION_DRIFT, found.metric) == (drifted, metric)


def test_lanes_of_any_country_raise_no_alarm():
    for width in (2.75, 3.0, 3.75, 4.2):
        assert drive(camera(), width=width).estimate.flags == Status(0)


def test_there_is_no_early_estimate_and_a_new_calibration_resets():
    assert drive(camera(pitch=3.0), seconds=2).estimate.frames == 0
    calibration = drive(camera(pitch=3.0))
    assert not calibration.estimate.metric
    fixed = camera(pitch=3.0)
    assert calibration.update(lines(fixed), fixed, 10**12).metric


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


def test_a_light_is_located_by_its_size():
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
    ("position", "bend", "relevance"),
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
def test_a_light_is_relevant_when_the_ego_lane_leads_to_it(position, bend, relevance):
    found = light_relevances(objects(light(*position)), 0, bent_lane(bend), camera())
    assert found.tolist() == [relevance]


def test_relevance_is_unknown_without_metric_output_and_for_other_objects():
    assert light_relevances(objects(light(40, 0, 5)), 0, (), None).tolist() == [Relevance.UNKNOWN]
    assert light_relevances(objects(light(40, 0, 5)), 3, (), camera()).tolist() == [Relevance.UNKNOWN]
    assert light_relevances(objects(light(40, 0, 5)), 0, (), camera()).tolist() == [Relevance.EGO]


def test_the_road_pitch_follows_lines_and_decays_without_them():
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


def test_a_single_outlier_frame_is_rejected():
    pitch = RoadPitch()
    pitch.update(np.radians(8.0), 0)
    assert pitch.angle == 0.0
