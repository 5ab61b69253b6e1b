"""Build an engine, check it against the model, time it, and only then install it in the engine folder."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from camera_perception.core.errors import BuildCancelled, EngineBusy, EngineError, ModelError
from camera_perception.core.model_spec import ModelSpec
from camera_perception.engines import tensorrt
from camera_perception.engines.build.gates import Measure, check_points_lost, check_reference, points_lost
from camera_perception.engines.cuda import runtime
from camera_perception.engines.select import median_ms
from camera_perception.engines.serving.trusted import unchanged
from camera_perception.engines.tensorrt.manifest import BuildOptions, EngineKey, Manifest, Progress
from camera_perception.engines.tensorrt.package import STANDARD, use
from camera_perception.engines.tensorrt.seal import require_seal, sealed
from camera_perception.engines.tensorrt.store import build_lock, matching, papers, read_plan, store

if TYPE_CHECKING:
    from camera_perception.engines.tensorrt.builder import Plan

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BuiltEngine:
    """An accepted engine.

    path   of its manifest
    fresh  False when the engine existed already
    """

    path: Path
    manifest: Manifest
    fresh: bool


def build_engine(
    spec: ModelSpec,
    options: BuildOptions | None = None,
    folder: Path | None = None,
    *,
    progress: Progress = lambda phase, fraction: True,
    measure: Measure | None = None,
    max_points_lost: float | None = None,
    force: bool = False,
    device_id: int = 0,
    package: str = STANDARD,
) -> BuiltEngine:
    """Build the engine of a model variant for this machine; when it fails a gate, an earlier engine stays installed.

    folder           of the engines; engine_folder() when not given
    progress         called with phase and fraction 0..1, from the thread that builds; returning False cancels
    measure          metric per task on labelled images; with it the loss against the ONNX model is gated
    max_points_lost  percentage points; gates.MAX_POINTS_LOST of the precision when not given
    force            build even when a matching engine exists
    package          of NVIDIA: tensorrt or tensorrt_rtx
    """
    if reason := tensorrt.available(package):
        raise EngineError(reason)
    use(package)
    device = runtime.use_device(device_id)
    folder = folder or tensorrt.engine_folder()
    key = EngineKey.of(spec, tensorrt.machine(device), options)
    with build_lock(folder, key):
        if not force and (existing := _existing(folder, key, spec.signed_by)):
            return existing
        from camera_perception.engines.tensorrt.builder import build_plan

        started = perf_counter()
        # Whoever can write the folder can write the timing cache, which TensorRT parses: signed models do without.
        timing_cache = None if spec.signed_by else folder / _timing_name(key)
        with unchanged(spec):
            plan = build_plan(spec, key.options, progress, timing_cache)
            seconds = perf_counter() - started
            manifest = _accepted(plan, spec, key, device, seconds, progress, measure, max_points_lost)
            if key != EngineKey.of(spec, key.machine, key.options):
                raise EngineError(f"{spec.folder} was changed during the build: build the engine again")
        manifest = sealed(manifest, spec.signed_by)
        path = store(folder, manifest, plan.data, plan.inspection, papers(spec.folder))
        return BuiltEngine(path, manifest, True)


def _existing(folder: Path, key: EngineKey, signer: str) -> BuiltEngine | None:
    """The engine that was built with the same options, unless it is damaged or lacks the seal of a signed model."""
    for path, manifest in matching(folder, key):
        if manifest.key == key:
            try:
                require_seal(path, manifest, signer)
                read_plan(folder, manifest)
            except EngineError as error:
                log.warning("%s: building it again", error)
                return None
            return BuiltEngine(path, manifest, False)
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
    max_points_lost: float | None,
) -> Manifest:
    """The manifest of a plan that passed both gates."""
    _report(progress, "comparing with the reference", spec)
    engine = tensorrt.open_plan(plan.data, spec, device)
    try:
        deviations = check_reference(engine, spec, device)
        lost = {}
        if measure:
            _report(progress, "measuring on labelled images", spec)
            lost = points_lost(spec, engine, measure)
            check_points_lost(lost, spec, device, max_points_lost)
        _report(progress, "storing the engine", spec)
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


def _report(progress: Progress, phase: str, spec: ModelSpec) -> None:
    """Report a phase that follows TensorRT's own; BuildCancelled when the callback returns False."""
    if progress(phase, 1.0) is False:
        raise BuildCancelled(spec.name)


def build_best(specs: Sequence[ModelSpec], build: Callable[[ModelSpec], BuiltEngine]) -> BuiltEngine:
    """The engine of the first variant that passes its gates; EngineError of the last one when none does."""
    for spec in specs[:-1]:
        try:
            return build(spec)
        except (BuildCancelled, EngineBusy):
            raise
        except EngineError as error:
            log.warning("the %s variant is not used: %s", spec.precision, error)
    return build(specs[-1])


def chosen_variants(spec: ModelSpec, precision: str) -> list[ModelSpec]:
    """The variants to try: the one asked for; with auto fp16, then the model itself."""
    chosen = chosen_variant(spec, precision)
    return [chosen] if precision != "auto" or chosen.precision == spec.precision else [chosen, spec]


def chosen_variant(spec: ModelSpec, precision: str) -> ModelSpec:
    """The variant to build; auto is fp16 where the folder has it: half the time at a negligible loss."""
    if precision != "auto":
        return tensorrt.variant(spec, precision)
    try:
        return tensorrt.variant(spec, "fp16")
    except ModelError as error:
        log.warning("building %s: %s", spec.precision, error)
        return spec
