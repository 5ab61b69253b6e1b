"""TensorRT backend for NVIDIA GPUs, Jetson included. Opens engines that were built and accepted; builds none."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from camera_perception.core.errors import EngineError, EngineMissing, ModelError
from camera_perception.core.model_spec import ModelSpec, load_spec
from camera_perception.engines import Engine
from camera_perception.engines.cuda import runtime
from camera_perception.engines.select import cache_folder, median_ms
from camera_perception.engines.tensorrt.manifest import EngineKey, Machine, Manifest
from camera_perception.engines.tensorrt.package import RTX, STANDARD, backend, machine_version, unavailable, use
from camera_perception.engines.tensorrt.seal import require_seal
from camera_perception.engines.tensorrt.store import matching, near_misses, read_plan, unreadable
from camera_perception.engines.validate import check_slots

log = logging.getLogger(__name__)
PRECISIONS = ("fp32", "fp16", "int8", "fp8")


def available(package: str = STANDARD) -> str | None:
    """Why this backend cannot be used here, or None."""
    return unavailable(package) or runtime.available()


def load(
    spec: ModelSpec,
    *,
    slots: int = 1,
    threads: int = 0,
    letterbox: bool = False,
    precision: str = "auto",
    device_id: int = 0,
    folder: Path | str | None = None,
    memory: str = "auto",
    graph: bool = True,
    background: bool = False,
    package: str = STANDARD,
) -> Engine:
    """Open the engine that was built for this model and machine; EngineError has the command that builds one.

    slots      frames in flight
    threads    ignored: the GPU computes
    letterbox  slots accept source images, which the GPU resizes: for cameras much larger than the network
    precision  fp32, fp16, int8, fp8, or auto = the fastest that was built and accepted
    folder     of the engines, when it is not engine_folder()
    memory     copy; mapped = memory shared by CPU and GPU; auto = the faster of both
    graph      replay CUDA graphs
    background low stream priority
    package    of NVIDIA: tensorrt or tensorrt_rtx
    """
    if reason := available(package):
        raise EngineError(reason)
    use(package)
    if memory not in ("auto", "copy", "mapped"):
        raise EngineError(f"unknown memory '{memory}' for tensorrt: expected auto, copy, mapped")
    device = runtime.use_device(device_id)
    variant, manifest, plan = find(spec, precision, machine(device), Path(folder) if folder else engine_folder())
    options = {"slots": check_slots(slots), "graph": graph, "background": background, "letterbox": letterbox}
    return open_plan(plan, variant, device, memory, built_at=manifest.built_at, **options)


def open_plan(plan: bytes, spec: ModelSpec, device: runtime.Device, memory: str = "auto", **options: Any) -> Engine:
    """An engine from trusted bytes. With memory "auto" a Jetson tries copies and shared memory; the faster is kept."""
    from camera_perception.engines.tensorrt.engine import TensorRtEngine

    def opened(mapped: bool) -> Engine:
        build = command(spec, spec.precision)
        return cast(Engine, TensorRtEngine(plan, spec, device, mapped=mapped, build=build, **options))

    if memory != "auto" or not device.integrated:
        return opened(memory == "mapped")
    copying, sharing = opened(False), opened(True)
    slower, faster = sorted((copying, sharing), key=median_ms, reverse=True)
    slower.close()
    return faster


def find(spec: ModelSpec, precision: str, here: Machine, folder: Path) -> tuple[ModelSpec, Manifest, bytes]:
    """The fastest undamaged engine that fits: variant of the model, manifest, bytes.

    EngineMissing has what is wrong with the nearest engine, and the command that builds one.
    """
    if precision not in ("auto", *PRECISIONS):
        raise EngineError(f"unknown precision '{precision}' for tensorrt: expected auto, {', '.join(PRECISIONS)}")
    eligible = [v for v in variants(spec) if precision in ("auto", v.precision)]
    damaged = []
    for variant, path, manifest in _fitting(eligible, here, folder):
        try:
            require_seal(path, manifest, variant.signed_by)
            return variant, manifest, read_plan(folder, manifest)
        except EngineError as error:
            log.warning("%s", error)
            damaged.append(str(error))
    nearest = _nearest(eligible, here, folder)
    if not nearest:
        damaged += [f"{path} is not a usable engine manifest" for path in unreadable(folder)]
    reason = f": {damaged[0]}: " if damaged else f" is in {folder}{nearest}: "
    raise EngineMissing(
        f"no TensorRT engine of model '{spec.name}' for this machine{reason}build one with `{command(spec, precision)}`"
    )


def _fitting(eligible: list[ModelSpec], here: Machine, folder: Path) -> list[tuple[ModelSpec, Path, Manifest]]:
    """Variant, path of the manifest and manifest of each engine for this machine, the fastest first."""
    found = [(v, *engine) for v in eligible for engine in matching(folder, EngineKey.of(v, here))]
    return sorted(found, key=lambda engine: engine[2].milliseconds)


def built_precisions(spec: ModelSpec, package: str = STANDARD) -> list[str]:
    """Precisions of the engines for this machine, the fastest first; empty where the package cannot be used."""
    try:
        use(package)
        found = _fitting(variants(spec), machine(runtime.use_device(0)), engine_folder())
    except EngineError:
        return []
    return list(dict.fromkeys(variant.precision for variant, _, _ in found))


def _nearest(eligible: list[ModelSpec], here: Machine, folder: Path) -> str:
    """A clause about the engine that nearly fits; "" when there is none."""
    misses = [miss for v in eligible for miss in near_misses(folder, EngineKey.of(v, here))]
    return f"; the nearest was built for {min(misses, key=len)}" if misses else ""


def variants(spec: ModelSpec) -> list[ModelSpec]:
    """The model itself and its fp16, int8, fp8 folders inside the model folder, with the batch size of the model."""
    found = [spec]
    for name in PRECISIONS:
        if (spec.folder / name / "model.json").is_file():
            other = load_spec(spec.folder / name)
            batch = replace(other.input, batch=spec.input.batch)
            found.append(replace(other, input=batch, signed_by=spec.signed_by))
    return found


def variant(spec: ModelSpec, precision: str) -> ModelSpec:
    """The variant of that precision; ModelError has the command that makes it."""
    for candidate in variants(spec):
        if candidate.precision == precision:
            return candidate
    raise ModelError(
        f"{spec.folder} has no {precision} variant: make it with "
        f"`perception-models quantize {spec.folder} --precision {precision}`"
    )


def machine(device: runtime.Device) -> Machine:
    """The machine that engines built here are bound to."""
    return Machine(machine_version(), device.name, device.compute_capability, device.driver_major)


def engine_folder() -> Path:
    """Default folder of engines: ~/.cache/camera_perception/engines, or below XDG_CACHE_HOME."""
    return cache_folder() / "engines"


def command(spec: ModelSpec, precision: str) -> str:
    """The command that builds an engine; without a precision it builds the fp16 variant where there is one."""
    option = "" if precision == "auto" else f" --precision {precision}"
    batch = f" --batch {spec.input.batch}" if spec.input.batch > 1 else ""
    package = f" --backend {RTX}" if backend() == RTX else ""
    trust = f" --trusted-key {spec.signed_by}" if spec.signed_by else ""
    folder = spec.folder.parent if spec.folder.name in PRECISIONS else spec.folder
    return f"camera-perception build-engine {folder}{option}{batch}{package}{trust}"
