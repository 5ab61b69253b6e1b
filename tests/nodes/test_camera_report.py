"""The diagnostics of a camera node about calibration and drift."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus

from camera_perception.core.types import Status
from camera_perception.geometry.camera import Camera, optical_from_rpy
from camera_perception.lanes.online_calibration import Diagnosis
from camera_perception.tools.drift.monitor import Judgement, Moved
from camera_perception_ros.camera.diagnostics import Counts
from camera_perception_ros.camera.report import State, report

K = [120.0, 0, 80, 0, 120, 48, 0, 0, 1]


def calibration_status(diagnosis: Diagnosis, flags: Status = Status(0)) -> DiagnosticStatus:
    """The Calibration part of the report of a node 1.4 m above the road."""
    camera = Camera.from_camera_info(160, 96, K, [0.0] * 5, base_from_camera=optical_from_rpy((1.5, 0, 1.4), (0, 0, 0)))
    engine = SimpleNamespace(name="fake", engine_id="0")
    model = SimpleNamespace(engine=engine, spec=SimpleNamespace(name="fake"))
    doctor = SimpleNamespace(diagnosis=diagnosis, lane_width=3.5)
    serving = SimpleNamespace(model=model, pipeline=SimpleNamespace(calibration=doctor), drift=None)
    calibration = SimpleNamespace(camera=camera, flags=flags, text="pose unknown" if flags else "calibrated")
    return report("/front", Time(), State("active", configured(serving, calibration))).status[-1]


def configured(serving: SimpleNamespace, calibration: SimpleNamespace) -> SimpleNamespace:
    """The parts of a configured camera node that the report reads."""
    processor = SimpleNamespace(serving=serving, counts=Counts(), failure=lambda: "", ranges=None)
    return SimpleNamespace(processor=processor, calibration=calibration, models=SimpleNamespace(build=None))


def test_without_lane_lines_nothing_is_measured():
    status = calibration_status(Diagnosis(Status(0), True))
    assert (status.level, status.message) == (DiagnosticStatus.OK, "calibrated")
    assert {pair.key: pair.value for pair in status.values} == {"straight_frames": "0"}


def test_measurements_from_lane_lines_are_reported_in_degrees_and_metres():
    """Lanes that look twice as wide as usual: the camera sits half as high."""
    status = calibration_status(Diagnosis(Status.CALIBRATION_DRIFT, True, np.radians(1.0), np.radians(-2.0), 7.0, 50))
    values = {pair.key: float(pair.value) for pair in status.values}
    assert values == pytest.approx(
        {"straight_frames": 50, "pitch_off_deg": 1.0, "yaw_off_deg": -2.0, "height_m": 0.7, "lane_width_m": 7.0}
    )
    assert status.level == DiagnosticStatus.WARN
    assert "recalibrate it" in status.message


def test_a_missing_pose_is_reported_before_a_measured_error():
    status = calibration_status(Diagnosis(Status.CALIBRATION_DRIFT, True, 0.1, 0.1, 7.0, 50), Status.TF_MISSING)
    assert (status.level, status.message) == (DiagnosticStatus.WARN, "pose unknown")


def drift_status(judgement: Judgement | None) -> DiagnosticStatus | None:
    profile = SimpleNamespace(window=60.0, source="spring drives")
    drift = SimpleNamespace(judgement=judgement, profile=profile) if judgement else None
    model = SimpleNamespace(engine=SimpleNamespace(name="fake", engine_id="0"), spec=SimpleNamespace(name="fake"))
    serving = SimpleNamespace(model=model, pipeline=None, drift=drift)
    calibration = SimpleNamespace(camera=None, flags=Status(0), text="")
    statuses = report("/front", Time(), State("active", configured(serving, calibration))).status
    return next((part for part in statuses if part.name == "/front: Drift"), None)


def test_without_a_profile_there_is_no_drift_status():
    assert drift_status(None) is None


def test_a_metric_that_has_drifted_is_named_with_its_divergence_and_limit():
    status = drift_status(Judgement((Moved("lane scores", 0.05, 0.2), Moved("weather", 0.9, 0.12)), ""))
    assert status is not None
    assert status.level == DiagnosticStatus.WARN
    assert status.message == "outputs differ from the model's profile: weather (0.90, limit 0.12)"
    assert {pair.key: pair.value for pair in status.values} == {
        "window": "60 s",
        "profile": "spring drives",
        "lane scores": "0.050 of 0.200",
        "weather": "0.900 of 0.120",
    }


@pytest.mark.parametrize(
    ("judgement", "text"),
    [
        (Judgement(), "the first window is not full yet"),
        (Judgement((Moved("weather", 0.1, 0.12),), ""), "as in the profile"),
    ],
)
def test_without_drift_or_before_a_window_is_full_the_status_is_ok(judgement, text):
    status = drift_status(judgement)
    assert status is not None
    assert (status.level, status.message) == (DiagnosticStatus.OK, text)
