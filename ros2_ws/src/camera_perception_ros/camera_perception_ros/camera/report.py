"""The diagnostics of a camera node, built from a snapshot of its state."""

from __future__ import annotations

import math
from dataclasses import dataclass

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from camera_perception.core.telemetry import GpuReading
from camera_perception.core.types import Status
from camera_perception.engines.build.background import BuildState
from camera_perception.geometry.camera import Camera
from camera_perception.lanes.online_calibration import Diagnosis
from camera_perception_ros.camera.calibration import Calibration
from camera_perception_ros.camera.diagnostics import (
    ERROR,
    OK,
    STALE,
    WARN,
    array_of,
    level_of,
    names_of,
    percentile,
    status,
)
from camera_perception_ros.camera.fusion_watch import FusionWatch
from camera_perception_ros.camera.processor import Perceiver


@dataclass(frozen=True)
class State:
    """perceiver and calibration are None while the node is unconfigured.

    publishers  of images, that our subscription has found
    listeners   to PerceptionFrames, that our publisher has found: others would not get the next one
    """

    lifecycle: str
    perceiver: Perceiver | None
    calibration: Calibration | None
    transport: str | None
    received: int
    replaced: int
    why_silent: str
    publishers: int = 0
    listeners: int = 0
    build: BuildState | None = None
    gpu: GpuReading | None = None
    fusion: FusionWatch | None = None


def report(node: str, stamp: Time, state: State) -> DiagnosticArray:
    """One status per part: Input, Model, GPU, Range sensors and Fusion if any, Drift if profiled, Calibration."""
    parts = [
        _input(node, state),
        _model(node, state),
        _gpu(node, state.gpu),
        _drift(node, state.perceiver),
        _ranges(node, state.perceiver),
        _fusion(node, state.fusion),
        _calibration(node, state),
    ]
    return array_of(stamp, [part for part in parts if part is not None])


def _input(node: str, state: State) -> DiagnosticStatus:
    counts = state.perceiver.counts if state.perceiver else None
    flags = counts.take_flags() if counts else Status(0)
    values = {
        "lifecycle": state.lifecycle,
        "transport": state.transport or "none",
        "received": state.received,
        "replaced": state.replaced,
        "publishers": state.publishers,
        "listeners": state.listeners,
    }
    if counts:
        values |= {"processed": counts.processed, "failed": counts.failed}
    level, text = (STALE, state.why_silent) if state.why_silent else (level_of(flags), names_of(flags))
    return status(f"{node}: Input", level, text, node, values)


def _model(node: str, state: State) -> DiagnosticStatus:
    perceiver = state.perceiver
    model = perceiver.model if perceiver else None
    if perceiver is None or model is None:
        text = state.build.text if state.build else f"no model loaded ({state.lifecycle})"
        return status(f"{node}: Model", WARN, text, node, _progress(state.build))
    engine, counts = model.engine, perceiver.counts
    values: dict[str, object] = {"engine": engine.name, "engine_id": engine.engine_id, "model": model.spec.name}
    for name, series in (("age_ms", counts.ages_ms), ("inference_ms", counts.inference_ms)):
        values |= {f"{name} p{int(100 * share)}": f"{percentile(series, share):.1f}" for share in (0.5, 0.95, 0.99)}
    level, text = (ERROR, perceiver.broken) if perceiver.broken else (OK, "running")
    if level == OK and state.build is not None and state.build.state != "done":
        level, text = WARN, state.build.text
    return status(f"{node}: Model", level, text, engine.name, values | _progress(state.build))


def _gpu(node: str, reading: GpuReading | None) -> DiagnosticStatus | None:
    if reading is None:
        return None
    level, text = (WARN, f"slowed down: {reading.throttled}") if reading.throttled else (OK, "ok")
    if reading.hot and not reading.throttled:
        level, text = WARN, "hot"
    return status(f"{node}: GPU", level, text, reading.name, reading.values)


def _progress(build: BuildState | None) -> dict[str, object]:
    """How far the engine is that is built in the background."""
    return {} if build is None else {"engine build": build.state, "engine build progress": f"{build.share:.0%}"}


def _drift(node: str, perceiver: Perceiver | None) -> DiagnosticStatus | None:
    """Whether the network still says what it usually says; nothing without a profile."""
    if perceiver is None or perceiver.drift is None:
        return None
    result, profile = perceiver.drift.result, perceiver.drift.profile
    moved = ", ".join(f"{each.name} ({each.divergence:.2f}, up to {each.limit:.2f})" for each in result.drifted)
    text = f"not what this network usually says: {moved}" if moved else result.reason or "as usual"
    values: dict[str, object] = {"window": f"{profile.window:.0f} s", "profile": profile.source}
    values |= {each.name: f"{each.divergence:.3f} of {each.limit:.3f}" for each in result.metrics}
    return status(f"{node}: Drift", WARN if moved else OK, text, node, values)


def _ranges(node: str, perceiver: Perceiver | None) -> DiagnosticStatus | None:
    """Whether depth camera and lidar help; nothing without them."""
    if perceiver is None or perceiver.ranges is None:
        return None
    problems = perceiver.ranges.problems
    text = "; ".join(f"{name}: {problem}" for name, problem in problems.items())
    return status(f"{node}: Range sensors", WARN if problems else OK, text or "in use", node, problems)


def _fusion(node: str, watch: FusionWatch | None) -> DiagnosticStatus | None:
    """Whether the fusion that this camera watches is alive."""
    if watch is None:
        return None
    why = watch.why_silent
    return status(f"{node}: Fusion", ERROR if why else OK, why or "reports", watch.name, {})


def _calibration(node: str, state: State) -> DiagnosticStatus | None:
    if state.calibration is None:
        return None
    level, text, values = OK, state.calibration.text, {}
    if state.perceiver is not None and state.perceiver.pipeline is not None and state.calibration.camera is not None:
        doctor = state.perceiver.pipeline.calibration
        if doctor.diagnosis.flags:
            level, text = WARN, "lane lines disagree with the camera's pose: calibrate it again"
        values = _measured(doctor.diagnosis, state.calibration.camera, doctor.lane_width)
    if state.calibration.flags:
        level, text = WARN, state.calibration.text
    return status(f"{node}: Calibration", level, text, node, values)


def _measured(found: Diagnosis, camera: Camera, lane_width: float) -> dict[str, object]:
    """What straight lane lines say: how the camera is turned against its pose, and how high it sits on usual lanes."""
    values: dict[str, object] = {"straight_frames": found.frames}
    if not found.frames or not camera.metric:
        return values
    height = float(camera.pose[2, 3]) * lane_width / found.width if found.width > 0 else math.nan
    return values | {
        "pitch_off_deg": math.degrees(found.pitch),
        "yaw_off_deg": math.degrees(found.yaw),
        "height_m": height,
        "lane_width_m": found.width,
    }
