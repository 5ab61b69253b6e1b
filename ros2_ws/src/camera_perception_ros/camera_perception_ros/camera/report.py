"""The diagnostics of a camera node, from a snapshot of its state."""

from __future__ import annotations

import math
from dataclasses import dataclass

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from camera_perception.core.telemetry import GpuReading
from camera_perception.core.types import Status
from camera_perception.engines.build.background import BuildState
from camera_perception.geometry.camera import Camera
from camera_perception.lanes.online_calibration import CalibrationEstimate
from camera_perception_ros.camera.configured import ConfiguredCamera
from camera_perception_ros.camera.diagnostics import (
    ERROR,
    OK,
    WARN,
    array_of,
    flag_names,
    level_of,
    percentile,
    status,
)
from camera_perception_ros.camera.fusion_watchdog import FusionWatchdog
from camera_perception_ros.camera.processor import FrameProcessor


@dataclass(frozen=True)
class InputState:
    """The images of an active node.

    publishers  of images, discovered by our subscription
    listeners   to PerceptionFrames, discovered by our publisher: others would miss the next one
    silence     why no image arrives; empty while images do
    """

    transport: str = "none"
    received: int = 0
    replaced: int = 0
    publishers: int = 0
    listeners: int = 0
    silence: str = ""


@dataclass(frozen=True)
class State:
    """configured is None while the node is unconfigured; gpu and fusion are None without one.

    camera   name of the camera; empty: that of the node
    failure  why the last transition failed; empty without a failure
    """

    lifecycle: str
    configured: ConfiguredCamera | None
    input: InputState = InputState()
    gpu: GpuReading | None = None
    fusion: FusionWatchdog | None = None
    camera: str = ""
    failure: str = ""


def report(node: str, stamp: Time, state: State) -> DiagnosticArray:
    """One status per part: Input, Model, GPU, Drift, Range sensors, Fusion, Calibration; only the parts in use.

    The level is never STALE, which aggregators give to what is no longer reported.
    """
    parts = [_input(node, state)]
    camera, gpu = state.camera or node, state.gpu
    if state.configured is None:
        level, text = (ERROR, state.failure) if state.failure else (WARN, f"no model loaded ({state.lifecycle})")
        parts += [status(f"{node}: Model", level, text, camera, {}), _gpu(node, gpu), _fusion(node, state.fusion)]
    else:
        processor = state.configured.processor
        parts += [_model(node, processor, state.configured.models.build, state.lifecycle), _gpu(node, gpu)]
        parts += [_drift(node, processor), _ranges(node, processor), _fusion(node, state.fusion)]
        parts += [_calibration(node, state.configured)]
    used = [part for part in parts if part is not None]
    for part in used:  # the device that a part is about: the GPU, or the camera
        on_gpu = gpu is not None and part.name.endswith((": Model", ": GPU"))
        part.hardware_id = gpu.name if on_gpu and gpu is not None else camera
    return array_of(stamp, used)


def _input(node: str, state: State) -> DiagnosticStatus:
    images = state.input
    values: dict[str, object] = {
        "lifecycle": state.lifecycle,
        "transport": images.transport,
        "received": images.received,
        "replaced": images.replaced,
        "publishers": images.publishers,
        "listeners": images.listeners,
    }
    flags, clock = Status(0), ""
    if state.configured is not None:
        counts = state.configured.processor.counts
        flags = counts.take_flags()
        clock = counts.clock_problem if flags & Status.STAMP_AHEAD else ""
        values |= {"processed": counts.processed, "failed": counts.failed}
    level, text = (ERROR, images.silence) if images.silence else (level_of(flags), clock or flag_names(flags))
    if level == OK and images.publishers > 1:
        level, text = WARN, f"{images.publishers} nodes publish the images: stop all but one (see `ros2 topic info -v`)"
    return status(f"{node}: Input", level, text, node, values)


def _model(node: str, processor: FrameProcessor, build: BuildState | None, lifecycle: str) -> DiagnosticStatus:
    if processor.serving is None:
        text = build.text if build else f"no model loaded ({lifecycle})"
        return status(f"{node}: Model", WARN, text, node, _progress(build))
    model, counts, failure = processor.serving.model, processor.counts, processor.failure
    values: dict[str, object] = {
        "engine": model.engine.info.name,
        "engine_id": model.engine.info.engine_id,
        "model": model.spec.name,
    }
    for name, series in (("age_ms", counts.ages_ms), ("inference_ms", counts.inference_ms)):
        values |= {f"{name} p{int(100 * q)}": f"{percentile(series, q):.1f}" for q in (0.5, 0.95, 0.99)}
    level, text = (ERROR, failure) if failure else (OK, "running")
    if level == OK and build is not None and build.state != "done":
        level, text = WARN, build.text
    return status(f"{node}: Model", level, text, model.engine.info.name, values | _progress(build))


def _gpu(node: str, reading: GpuReading | None) -> DiagnosticStatus | None:
    if reading is None:
        return None
    level, text = (WARN, f"throttled: {reading.throttled}") if reading.throttled else (OK, "ok")
    if reading.hot and not reading.throttled:
        level, text = WARN, "hot"
    return status(f"{node}: GPU", level, text, reading.name, reading.values)


def _progress(build: BuildState | None) -> dict[str, object]:
    """Progress of the engine that is built in the background."""
    return {} if build is None else {"engine build": build.state, "engine build progress": f"{build.fraction:.0%}"}


def _drift(node: str, processor: FrameProcessor) -> DiagnosticStatus | None:
    """Whether the distribution of the network's outputs matches its profile; None without a profile."""
    drift = processor.serving.drift if processor.serving is not None else None
    if drift is None:
        return None
    found, profile = drift.result, drift.profile
    moved = ", ".join(f"{metric.name} ({metric.divergence:.2f}, limit {metric.limit:.2f})" for metric in found.drifted)
    text = f"outputs differ from the model's profile: {moved}" if moved else found.reason or "as in the profile"
    values: dict[str, object] = {"window": f"{profile.window:.0f} s", "profile": profile.source}
    values |= {metric.name: f"{metric.divergence:.3f} of {metric.limit:.3f}" for metric in found.metrics}
    return status(f"{node}: Drift", WARN if moved else OK, text, node, values)


def _ranges(node: str, processor: FrameProcessor) -> DiagnosticStatus | None:
    """Problems of depth camera and lidar; None without both."""
    if processor.ranges is None:
        return None
    problems = processor.ranges.problems
    text = "; ".join(f"{name}: {problem}" for name, problem in problems.items())
    return status(f"{node}: Range sensors", WARN if problems else OK, text or "in use", node, problems)


def _fusion(node: str, watchdog: FusionWatchdog | None) -> DiagnosticStatus | None:
    """Whether the watched fusion node is alive; None without one."""
    if watchdog is None:
        return None
    problem = watchdog.problem
    return status(f"{node}: Fusion", ERROR if problem else OK, problem or "alive", watchdog.name, {})


def _calibration(node: str, configured: ConfiguredCamera) -> DiagnosticStatus:
    calibration, serving = configured.calibration, configured.processor.serving
    level, text = OK, calibration.text
    values: dict[str, object] = {}
    if serving is not None and calibration.camera is not None:
        online = serving.pipeline.calibration
        if online.estimate.flags:
            level, text = WARN, "lane lines disagree with the camera's pose: recalibrate it"
        values = _measured(online.estimate, calibration.camera, online.lane_width)
    if calibration.mismatch:
        level, text = WARN, calibration.mismatch
    if calibration.flags:
        level, text = WARN, calibration.text
    return status(f"{node}: Calibration", level, text, node, values)


def _measured(found: CalibrationEstimate, camera: Camera, lane_width: float) -> dict[str, object]:
    """What straight lane lines measure: rotation against the given pose, and height if lanes have the usual width."""
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
