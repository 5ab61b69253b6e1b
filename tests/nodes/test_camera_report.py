"""What a camera node says on /diagnostics about its calibration."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus

from camera_perception.core.types import Status
from camera_perception.geometry.camera import Camera, optical_from_rpy
from camera_perception.lanes.online_calibration import Diagnosis
from camera_perception.tools.drift.monitor import DriftResult, MetricDrift
from camera_perception_ros.camera.diagnostics import Counts
from camera_perception_ros.camera.report import State, report

K = [120.0, 0, 80, 0, 120, 48, 0, 0, 1]


def calibration_status(diagnosis: Diagnosis, flags: Status = Status(0)) -> DiagnosticStatus:
    """The Calibration part of the report of a node 1.4 m above the road."""
    camera = Camera.from_camera_info(160, 96, K, [0.0] * 5, base_from_camera=optical_from_rpy((1.5, 0, 1.4), (0, 0, 0)))
    engine = SimpleNamespace(name="fake", engine_id="0")
    model = SimpleNamespace(engine=engine, spec=SimpleNamespace(name="fake"))
    doctor = SimpleNamespace(diagnosis=diagnosis, lane_width=3.5)
    perceiver = SimpleNamespace(model=model, counts=Counts(), broken="", pipeline=SimpleNamespace(calibration=doctor))
    perceiver.drift = perceiver.ranges = None
    calibration = SimpleNamespace(camera=camera, flags=flags, text="pose unknown" if flags else "calibrated")
    state = State("active", perceiver, calibration, "raw", 0, 0, "")
    return report("/front", Time(), state).status[-1]


def test_before_lane_lines_were_seen_nothing_is_measured():
    said = calibration_status(Diagnosis(Status(0), True))
    assert (said.level, said.message) == (DiagnosticStatus.OK, "calibrated")
    assert {pair.key: pair.value for pair in said.values} == {"straight_frames": "0"}


def test_what_lane_lines_measured_is_said_in_degrees_and_metres():
    """Lanes that look twice as wide as usual: the camera sits half as high."""
    said = calibration_status(Diagnosis(Status.CALIBRATION_DRIFT, True, np.radians(1.0), np.radians(-2.0), 7.0, 50))
    values = {pair.key: float(pair.value) for pair in said.values}
    assert values == pytest.approx(
        {"straight_frames": 50, "pitch_off_deg": 1.0, "yaw_off_deg": -2.0, "height_m": 0.7, "lane_width_m": 7.0}
    )
    assert said.level == DiagnosticStatus.WARN
    assert "calibrate it again" in said.message


def test_what_is_missing_comes_before_what_was_measured():
    said = calibration_status(Diagnosis(Status.CALIBRATION_DRIFT, True, 0.1, 0.1, 7.0, 50), Status.TF_MISSING)
    assert (said.level, said.message) == (DiagnosticStatus.WARN, "pose unknown")


def drift_status(result: DriftResult | None) -> DiagnosticStatus | None:
    profile = SimpleNamespace(window=60.0, source="spring drives")
    drift = SimpleNamespace(result=result, profile=profile) if result else None
    model = SimpleNamespace(engine=SimpleNamespace(name="fake", engine_id="0"), spec=SimpleNamespace(name="fake"))
    perceiver = SimpleNamespace(model=model, counts=Counts(), broken="", pipeline=None, drift=drift, ranges=None)
    said = report("/front", Time(), State("active", perceiver, None, "raw", 0, 0, "")).status
    return next((part for part in said if part.name == "/front: Drift"), None)


def test_without_a_profile_nothing_is_said_about_drift():
    assert drift_status(None) is None


def test_the_figure_that_moved_is_named_with_how_far_and_how_far_it_may():
    said = drift_status(DriftResult((MetricDrift("lane scores", 0.05, 0.2), MetricDrift("weather", 0.9, 0.12)), ""))
    assert said is not None
    assert said.level == DiagnosticStatus.WARN
    assert said.message == "not what this network usually says: weather (0.90, up to 0.12)"
    assert {pair.key: pair.value for pair in said.values} == {
        "window": "60 s",
        "profile": "spring drives",
        "lane scores": "0.050 of 0.200",
        "weather": "0.900 of 0.120",
    }


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (DriftResult(), "the first window is not full yet"),
        (DriftResult((MetricDrift("weather", 0.1, 0.12),), ""), "as usual"),
    ],
)
def test_before_a_window_is_full_and_when_nothing_moved_all_is_well(result, text):
    said = drift_status(result)
    assert said is not None
    assert (said.level, said.message) == (DiagnosticStatus.OK, text)
