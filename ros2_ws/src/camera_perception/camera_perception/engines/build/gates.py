"""Gates that an engine passes before it is used: it reproduces its reference, and no task loses too much accuracy."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from camera_perception.core.errors import EngineError
from camera_perception.core.model_spec import ModelSpec, load_spec
from camera_perception.engines import Engine
from camera_perception.engines.cuda import runtime
from camera_perception.engines.deviation import Deviation
from camera_perception.engines.reference import require
from camera_perception.engines.select import load_engine

# Percentage points that a task may lose against the ONNX model in fp32.
MAX_POINTS_LOST = {"fp32": 0.1, "fp16": 0.2, "int8": 1.0, "fp8": 1.0}
log = logging.getLogger(__name__)

# (spec, engine) -> metric per task, 0..1, more is better
Measure = Callable[[ModelSpec, Engine], Mapping[str, float]]


def check_reference(engine: Engine, spec: ModelSpec, device: runtime.Device) -> list[Deviation]:
    """The first gate: EngineError names the worst output and, where they can be found, the layers that went wrong."""
    if spec.reference is None:
        log.warning("%s has no reference.npz: the outputs of the engine are not checked", spec.folder)
    try:
        return require(engine, spec)
    except EngineError as error:
        raise EngineError(f"{error}{_wrong_layers(spec, device)}. The engine was not installed") from error


def points_lost(spec: ModelSpec, engine: Engine, measure: Measure) -> dict[str, float]:
    """Per task: percentage points by which the engine is worse than the fp32 model in ONNX Runtime."""
    original = _original(spec)
    baseline = load_engine(original, "onnxruntime", device="cpu", spin=False)
    try:
        expected = measure(original, baseline)
    finally:
        baseline.close()
    actual = measure(spec, engine)
    return {task: round(100 * (value - actual.get(task, 0.0)), 3) for task, value in expected.items()}


def check_points_lost(
    lost: Mapping[str, float], spec: ModelSpec, device: runtime.Device, limit: float | None = None
) -> None:
    """The second gate: EngineError names the tasks that lost too much and, where they can be found, the layers.

    limit  percentage points; MAX_POINTS_LOST of the precision when not given
    """
    limit = MAX_POINTS_LOST[spec.precision] if limit is None else limit
    bad = {task: points for task, points in lost.items() if not points <= limit}  # NaN is bad, too
    if bad:
        named = ", ".join(f"{task} {points:.2f}" for task, points in sorted(bad.items(), key=lambda pair: -pair[1]))
        raise EngineError(
            f"the {spec.precision} engine of model '{spec.name}' loses more than {limit:g} points in: "
            f"{named}{_wrong_layers(spec, device)}. It was not installed; use a higher precision, or quantise again "
            "with more calibration images"
        )


def _wrong_layers(spec: ModelSpec, device: runtime.Device) -> str:
    """A clause that names the layers; "" when engine and ONNX Runtime agree throughout the network."""
    from camera_perception.engines.build.locate_deviation import worst_region

    region = worst_region(spec, device)
    return f"; the outputs go wrong {region}" if region else ""


def _original(spec: ModelSpec) -> ModelSpec:
    """The fp32 model that a variant was made from."""
    parent = spec.folder.parent / "model.json"
    return load_spec(spec.folder.parent) if spec.precision != "fp32" and parent.is_file() else spec
