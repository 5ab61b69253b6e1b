"""Build an engine, prove it equal to the model, measure it, and only then put it in place."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from camera_perception.deviation import Deviation
from camera_perception.engine_key import BuildOptions, EngineKey
from camera_perception.engine_manifest import Manifest, matching
from camera_perception.engine_store import only_builder, store
from camera_perception.engines import Engine, cuda, tensorrt
from camera_perception.engines.select import load_engine, median_ms
from camera_perception.errors import EngineError, ModelError
from camera_perception.model_spec import ModelSpec, load_spec
from camera_perception.reference import require

if TYPE_CHECKING:
    from camera_perception.engines.tensorrt_builder import Plan, Progress

# Points of a hundred that a task may lose against the ONNX model in fp32.
MOST_LOST = {"fp32": 0.1, "fp16": 0.2, "int8": 1.0, "fp8": 1.0}
log = logging.getLogger(__name__)

# (spec, engine) -> figure per task, 0..1, more is better
Measure = Callable[[ModelSpec, Engine], Mapping[str, float]]


@dataclass(frozen=True)
class Built:
    """An accepted engine. path is that of its manifest; fresh is False when it was there already."""

    path: Path
    manifest: Manifest
    fresh: bool


def build_engine(
    spec: ModelSpec,
    options: BuildOptions | None = None,
    folder: Path | None = None,
    *,
    progress: Progress = lambda phase, share: True,
    measure: Measure | None = None,
    most_lost: float | None = None,
    force: bool = False,
    device_id: int = 0,
) -> Built:
    """Build the engine of a model variant for this machine; when it fails a gate, whatever was there stays in place.

    folder     where engines live, engine_folder() when not given
    progress   called with phase and share 0..1, from the thread that builds; returning False cancels
    measure    figures per task of an engine on labelled images; with it the loss against the ONNX model is gated
    most_lost  points of a hundred; MOST_LOST of the precision when not given
    force      build even where a fitting engine exists
    """
    if reason := tensorrt.available():
        raise EngineError(reason)
    device = cuda.use_device(device_id)
    folder = folder or tensorrt.engine_folder()
    key = EngineKey.of(spec, tensorrt.machine(device), options)
    with only_builder(folder, key):
        if not force and (present := _present(folder, key)):
            return present
        from camera_perception.engines.tensorrt_builder import build_plan

        started = perf_counter()
        plan = build_plan(spec, key.options, progress, folder / _timing_name(key))
        seconds = perf_counter() - started
        manifest = _accepted(plan, spec, key, device, seconds, measure, most_lost)
        return Built(store(folder, manifest, plan.data), manifest, True)


def _present(folder: Path, key: EngineKey) -> Built | None:
    same = [(path, manifest) for path, manifest in matching(folder, key) if manifest.key == key]
    return Built(*same[0], False) if same and (folder / same[0][1].engine).is_file() else None


def _timing_name(key: EngineKey) -> str:
    m = key.machine
    return f"timing-{hashlib.sha256(f'{m.gpu}|{m.compute_capability}|{m.tensorrt}'.encode()).hexdigest()[:16]}.cache"


def _accepted(
    plan: Plan,
    spec: ModelSpec,
    key: EngineKey,
    device: cuda.Device,
    seconds: float,
    measure: Measure | None,
    most_lost: float | None,
) -> Manifest:
    """The manifest of a plan that passed both gates."""
    engine = tensorrt.open_plan(plan.data, spec, device)
    try:
        deviations = same_as_reference(engine, spec, device)
        lost = points_lost(spec, engine, measure) if measure else {}
        check_lost(lost, MOST_LOST[spec.precision] if most_lost is None else most_lost, spec)
        digest = hashlib.sha256(plan.data).hexdigest()
        return Manifest(
            key=key,
            engine=f"{key.stem}_{digest[:8]}.engine",
            sha256=digest,
            nbytes=len(plan.data),
            inputs=[[engine.input.name, list(engine.input.shape), engine.input.dtype.name]],
            outputs=[[t.name, list(t.shape), t.dtype.name] for t in engine.outputs.values()],
            parity={d.tensor: {"worst": d.worst, "share": d.share} for d in deviations},
            accuracy=lost,
            layers=plan.layers,
            milliseconds=median_ms(engine),
            build_seconds=round(seconds, 1),
            built_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        )
    finally:
        engine.close()


def same_as_reference(engine: Engine, spec: ModelSpec, device: cuda.Device) -> list[Deviation]:
    """The first gate: EngineError names the worst output and, where it can be found, the layers that went wrong."""
    if spec.reference is None:
        log.warning("%s has no reference.npz: nothing says whether the engine is right", spec.folder)
    try:
        return require(engine, spec)
    except EngineError as error:
        from camera_perception.engine_regions import worst_region

        region = worst_region(spec, device)
        where = f"; the numbers go wrong {region}" if region else ""
        raise EngineError(f"{error}{where}. The engine was not put in place") from error


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


def _original(spec: ModelSpec) -> ModelSpec:
    """The model that a variant was made from."""
    above = spec.folder.parent / "model.json"
    return load_spec(spec.folder.parent) if spec.precision != "fp32" and above.is_file() else spec


def check_lost(lost: Mapping[str, float], most: float, spec: ModelSpec) -> None:
    """The second gate: EngineError names the tasks that lost more than allowed."""
    bad = {task: points for task, points in lost.items() if points > most}
    if bad:
        named = ", ".join(f"{task} {points:.2f}" for task, points in sorted(bad.items(), key=lambda pair: -pair[1]))
        raise EngineError(
            f"the {spec.precision} engine of model '{spec.name}' loses more than {most:g} points in: {named}. "
            "It was not put in place; use a higher precision, or quantise again with more calibration images"
        )


def chosen_variant(spec: ModelSpec, precision: str) -> ModelSpec:
    """The variant to build; auto is fp16 where the folder has it: half the time at no loss worth naming."""
    if precision != "auto":
        return tensorrt.variant(spec, precision)
    try:
        return tensorrt.variant(spec, "fp16")
    except ModelError as error:
        log.warning("building %s, since %s", spec.precision, error)
        return spec
