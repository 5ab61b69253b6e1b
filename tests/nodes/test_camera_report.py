"""The diagnostics of a camera node about calibration and drift."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from driving import image_message

from camera_perception.core.telemetry import GpuReading
from camera_perception.core.types import Status
from camera_perception.geometry.camera import Camera, optical_from_rpy
from camera_perception.lanes.online_calibration import CalibrationEstimate
from camera_perception.tools.drift.monitor import DriftResult, MetricDrift
from camera_perception_ros.camera.diagnostics import Counts
from camera_perception_ros.camera.report import InputState, State, report
from camera_perception_ros.launching import NODE

K = [120.0, 0, 80, 0, 120, 48, 0, 0, 1]


def calibration_status(estimate: CalibrationEstimate, flags: Status = Status(0)) -> DiagnosticStatus:
    """The Calibration part of the report of a node 1.4 m above the road."""
    camera = Camera.from_camera_info(160, 96, K, [0.0] * 5, base_from_camera=optical_from_rpy((1.5, 0, 1.4), (0, 0, 0)))
    engine = SimpleNamespace(info=SimpleNamespace(name="fake", engine_id="0"))
    model = SimpleNamespace(engine=engine, spec=SimpleNamespace(name="fake"))
    doctor = SimpleNamespace(estimate=estimate, lane_width=3.5)
    serving = SimpleNamespace(model=model, pipeline=SimpleNamespace(calibration=doctor), drift=None)
    calibration = SimpleNamespace(
        camera=camera, flags=flags, text="pose unknown" if flags else "calibrated", mismatch=""
    )
    return report("/front", Time(), State("active", configured(serving, calibration))).status[-1]


def configured(serving: SimpleNamespace, calibration: SimpleNamespace) -> SimpleNamespace:
    """The parts of a configured camera node that the report reads."""
    processor = SimpleNamespace(serving=serving, counts=Counts(), failure="", ranges=None)
    return SimpleNamespace(processor=processor, calibration=calibration, models=SimpleNamespace(build=None))


def test_without_lane_lines_nothing_is_measured():
    status = calibration_status(CalibrationEstimate(Status(0), True))
    assert (status.level, status.message) == (DiagnosticStatus.OK, "calibrated")
    assert {pair.key: pair.value for pair in status.values} == {"straight_frames": "0"}


def test_measurements_from_lane_lines_are_reported_in_degrees_and_metres():
    """Lanes that look twice as wide as usual: the camera sits half as high."""
    status = calibration_status(
        CalibrationEstimate(Status.CALIBRATION_DRIFT, True, np.radians(1.0), np.radians(-2.0), 7.0, 50)
    )
    values = {pair.key: float(pair.value) for pair in status.values}
    assert values == pytest.approx(
        {"straight_frames": 50, "pitch_off_deg": 1.0, "yaw_off_deg": -2.0, "height_m": 0.7, "lane_width_m": 7.0}
    )
    assert status.level == DiagnosticStatus.WARN
    assert "recalibrate it" in status.message


def test_a_missing_pose_is_reported_before_a_measured_error():
    status = calibration_status(
        CalibrationEstimate(Status.CALIBRATION_DRIFT, True, 0.1, 0.1, 7.0, 50), Status.TF_MISSING
    )
    assert (status.level, status.message) == (DiagnosticStatus.WARN, "pose unknown")


def drift_status(result: DriftResult | None) -> DiagnosticStatus | None:
    profile = SimpleNamespace(window=60.0, source="spring drives")
    drift = SimpleNamespace(result=result, profile=profile) if result else None
    model = SimpleNamespace(
        engine=SimpleNamespace(info=SimpleNamespace(name="fake", engine_id="0")), spec=SimpleNamespace(name="fake")
    )
    serving = SimpleNamespace(model=model, pipeline=None, drift=drift)
    calibration = SimpleNamespace(camera=None, flags=Status(0), text="", mismatch="")
    statuses = report("/front", Time(), State("active", configured(serving, calibration))).status
    return next((part for part in statuses if part.name == "/front: Drift"), None)


def test_without_a_profile_there_is_no_drift_status():
    assert drift_status(None) is None


def test_a_metric_that_has_drifted_is_named_with_its_divergence_and_limit():
    status = drift_status(DriftResult((MetricDrift("lane scores", 0.05, 0.2), MetricDrift("weather", 0.9, 0.12)), ""))
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
    ("result", "text"),
    [
        (DriftResult(), "the first window is not full yet"),
        (DriftResult((MetricDrift("weather", 0.1, 0.12),), ""), "as in the profile"),
    ],
)
def test_without_drift_or_before_a_window_is_full_the_status_is_ok(result, text):
    status = drift_status(result)
    assert status is not None
    assert (status.level, status.message) == (DiagnosticStatus.OK, text)


def unconfigured(**state: object) -> dict[str, DiagnosticStatus]:
    statuses = report("/front/camera_perception", Time(), State("unconfigured", None, **state)).status
    return {part.name.partition(": ")[2]: part for part in statuses}


def test_a_failed_configure_is_an_error_with_its_reason():
    assert unconfigured()["Model"].level == DiagnosticStatus.WARN
    failed = unconfigured(failure="cannot configure: no model in /m")["Model"]
    assert (failed.level, failed.message) == (DiagnosticStatus.ERROR, "cannot configure: no model in /m")


def test_silence_is_an_error_since_only_aggregators_say_stale():
    silent = unconfigured(input=InputState(silence="nobody publishes"))["Input"]
    assert (silent.level, silent.message) == (DiagnosticStatus.ERROR, "nobody publishes")


def test_hardware_is_the_camera_or_the_gpu():
    found = unconfigured(camera="front", gpu=GpuReading("Orin"))
    assert {name: part.hardware_id for name, part in found.items()} == {
        "Input": "front", "Model": "Orin", "GPU": "Orin",
    }  # fmt: skip


def test_the_aggregator_puts_every_status_into_one_group():
    file = Path(__file__).parents[2] / "launch/config/diagnostics.aggregator.yaml"
    entries = yaml.safe_load(file.read_text())["analyzers"]["ros__parameters"]
    groups = {name: entry for name, entry in entries.items() if isinstance(entry, dict)}
    parts = ("Input", "Model", "GPU", "Drift", "Range sensors", "Fusion", "Calibration")
    for name in [*(f"/camera/front/{NODE}: {part}" for part in parts), "/fusion: Input", "/fusion: front"]:
        hits = [
            group
            for group, entry in groups.items()
            if any(text in name for text in entry.get("contains", ()))
            or any(name.startswith(text) for text in entry.get("startswith", ()))
        ]
        assert len(hits) == 1, (name, hits)


def test_two_publishers_of_one_image_topic_are_a_warning():
    assert unconfigured(input=InputState(publishers=1))["Input"].level == DiagnosticStatus.OK
    doubled = unconfigured(input=InputState(publishers=2))["Input"]
    assert doubled.level == DiagnosticStatus.WARN
    assert "2 nodes publish the images" in doubled.message


def test_a_warning_that_repeats_with_every_image_is_logged_once(make_camera, capfd):
    camera = make_camera()
    camera.activate()
    for number in range(4):
        camera.send(image_message(number, encoding="yuv444p10"))
        assert camera.answers(number + 1)[-1].status_flags & Status.WRONG_ENCODING
    assert capfd.readouterr().err.count("yuv444p10") == 1
