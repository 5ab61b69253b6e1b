"""Build an engine, prove it equal to the model, measure it, and only then put it in place."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from camera_perception.core.errors import BuildCancelled, EngineError, ModelError
from camera_perception.core.model_spec import ModelSpec
from camera_perception.engines import tensorrt
from camera_perception.engines.build.gates import Measure, check_lost, points_lost, same_as_reference
from camera_perception.engines.cuda import runtime
from camera_perception.engines.select import median_ms
from camera_perception.engines.tensorrt.store import (
    BuildOptions,
    EngineKey,
    Manifest,
    matching,
    only_builder,
    read_plan,
    store,
)

if TYPE_CHECKING:
    from camera_perception.engines.tensorrt.builder import Plan, Progress

log = logging.getLogger(__name__)


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
    most_lost  points of a hundred; engine_gates.MOST_LOST of the precision when not given
    force      build even where a fitting engine exists
    """
    if reason := tensorrt.available():
        raise EngineError(reason)
    device = runtime.use_device(device_id)
    folder = folder or tensorrt.engine_folder()
    key = EngineKey.of(spec, tensorrt.machine(device), options)
    with only_builder(folder, key):
        if not force and (present := _present(folder, key)):
            return present
        from camera_perception.engines.tensorrt.builder import build_plan

        started = perf_counter()
        plan = build_plan(spec, key.options, progress, folder / _timing_name(key))
        seconds = perf_counter() - started
        manifest = _accepted(plan, spec, key, device, seconds, progress, measure, most_lost)
        return Built(store(folder, manifest, plan.data, plan.inspection), manifest, True)


def _present(folder: Path, key: EngineKey) -> Built | None:
    """The engine that was built with the same options, unless it was damaged since."""
    for path, manifest in matching(folder, key):
        if manifest.key == key:
            try:
                read_plan(folder, manifest)
            except EngineError as error:
                log.warning("building again: %s", error)
                return None
            return Built(path, manifest, False)
    return None


def _timing_name(key: EngineKey) -> str:
    m = key.machine
    return f"timing-{hashlib.sha256(f'{m.gpu}|{m.compute_capability}|{m.tensorrt}'.encode()).hexdigest()[:16]}.cache"


def _accepted(
    plan: Plan,
    spec: ModelSpec,
    key: EngineKey,
    device: runtime.Device,
    seconds: float,
    progress: Progress,
    measure: Measure | None,
    most_lost: float | None,
) -> Manifest:
    """The manifest of a plan that passed both gates."""
    _go_on(progress, "comparing with the reference", spec)
    engine = tensorrt.open_plan(plan.data, spec, device)
    try:
        deviations = same_as_reference(engine, spec, device)
        lost = {}
        if measure:
            _go_on(progress, "measuring on labelled images", spec)
            lost = points_lost(spec, engine, measure)
            check_lost(lost, spec, device, most_lost)
        _go_on(progress, "storing the engine", spec)
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


def _go_on(progress: Progress, phase: str, spec: ModelSpec) -> None:
    """What comes after TensorRT's part can be cancelled between its steps."""
    if progress(phase, 1.0) is False:
        raise BuildCancelled(spec.name)


def chosen_variant(spec: ModelSpec, precision: str) -> ModelSpec:
    """The variant to build; auto is fp16 where the folder has it: half the time at no loss worth naming."""
    if precision != "auto":
        return tensorrt.variant(spec, precision)
    try:
        return tensorrt.variant(spec, "fp16")
    except ModelError as error:
        log.warning("building %s, since %s", spec.precision, error)
        return spec
