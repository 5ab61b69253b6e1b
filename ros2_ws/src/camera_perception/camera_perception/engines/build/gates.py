"""The gates before an engine is used: it equals its reference, and its tasks are as good as the model's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from camera_perception.core.errors import EngineError
from camera_perception.core.model_spec import ModelSpec, load_spec
from camera_perception.engines import Engine
from camera_perception.engines.cuda import runtime
from camera_perception.engines.reference import Deviation, require
from camera_perception.engines.select import load_engine

# Points of a hundred that a task may lose against the ONNX model in fp32.
MOST_LOST = {"fp32": 0.1, "fp16": 0.2, "int8": 1.0, "fp8": 1.0}
log = logging.getLogger(__name__)

# (spec, engine) -> figure per task, 0..1, more is better
Measure = Callable[[ModelSpec, Engine], Mapping[str, float]]


def same_as_reference(engine: Engine, spec: ModelSpec, device: runtime.Device) -> list[Deviation]:
    """The first gate: EngineError names the worst output and, where it can be found, the layers that went wrong."""
    if spec.reference is None:
        log.warning("%s has no reference.npz: nothing says whether the engine is right", spec.folder)
    try:
        return require(engine, spec)
    except EngineError as error:
        raise EngineError(f"{error}{_where(spec, device)}. The engine was not put in place") from error


def points_lost(spec: ModelSpec, engine: Engine, measure: Measure) -> dict[str, float]:
    """Per task: points of a hundred that the engine is worse than the fp32 model in ONNX Runtime."""
    original = _original(spec)
    baseline = load_engine(original, "onnxruntime", device="cpu", spin=False)
    try:
        wanted = measure(original, baseline)
    finally:
        baseline.close()
    got = measure(spec, engine)
    return {task: round(100 * (value - got.get(task, 0.0)), 3) for task, value in wanted.items()}


def check_lost(lost: Mapping[str, float], spec: ModelSpec, device: runtime.Device, most: float | None = None) -> None:
    """The second gate: EngineError names the tasks that lost more than allowed, and the layers as the first one does.

    most  points of a hundred; MOST_LOST of the precision when not given
    """
    most = MOST_LOST[spec.precision] if most is None else most
    bad = {task: points for task, points in lost.items() if not points <= most}  # nan is bad, too
    if bad:
        named = ", ".join(f"{task} {points:.2f}" for task, points in sorted(bad.items(), key=lambda pair: -pair[1]))
        raise EngineError(
            f"the {spec.precision} engine of model '{spec.name}' loses more than {most:g} points in: "
            f"{named}{_where(spec, device)}. It was not put in place; use a higher precision, or quantise again with "
            "more calibration images"
        )


def _where(spec: ModelSpec, device: runtime.Device) -> str:
    """A clause that names the layers; "" when engine and ONNX Runtime agree all through the network."""
    from camera_perception.engines.build.locate_deviation import worst_region

    region = worst_region(spec, device)
    return f"; the numbers go wrong {region}" if region else ""


def _original(spec: ModelSpec) -> ModelSpec:
    """The model that a variant was made from."""
    above = spec.folder.parent / "model.json"
    return load_spec(spec.folder.parent) if spec.precision != "fp32" and above.is_file() else spec
