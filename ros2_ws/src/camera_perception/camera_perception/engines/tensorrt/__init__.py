"""TensorRT on NVIDIA GPUs, Jetson included. Opens engines that were built and accepted before; builds none itself."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import cast

from camera_perception.core.errors import EngineError, EngineMissing, ModelError
from camera_perception.core.model_spec import ModelSpec, load_spec
from camera_perception.engines import Engine
from camera_perception.engines.cuda import runtime
from camera_perception.engines.select import cache_folder, median_ms
from camera_perception.engines.tensorrt.store import EngineKey, Machine, Manifest, matching, near_misses, read_plan
from camera_perception.engines.validate import check_slots

log = logging.getLogger(__name__)
PRECISIONS = ("fp32", "fp16", "int8", "fp8")


def available() -> str | None:
    """Why this backend cannot be used here, or None."""
    try:
        import tensorrt  # noqa: F401
    except ImportError as error:
        return (
            f"tensorrt cannot be imported ({error}): on Jetson apt install python3-libnvinfer and use a venv with "
            "--system-site-packages, elsewhere pip install tensorrt"
        )
    return runtime.available()


def load(
    spec: ModelSpec,
    *,
    slots: int = 1,
    precision: str = "auto",
    device_id: int = 0,
    folder: Path | str | None = None,
    memory: str = "auto",
    graph: bool = True,
    background: bool = False,
    letterbox: bool = False,
) -> Engine:
    """Open the engine that was built for this model and machine; EngineError gives the command that builds one.

    slots      frames in flight
    precision  fp32, fp16, int8, fp8, or auto = the fastest that was built and accepted
    folder     of the engines, where it is not engine_folder()
    memory     copy; mapped = memory shared by CPU and GPU; auto = what is faster here
    graph      replay CUDA graphs
    background low stream priority
    letterbox  slots take source images, which the GPU resizes: for cameras much larger than the network
    """
    if reason := available():
        raise EngineError(reason)
    if memory not in ("auto", "copy", "mapped"):
        raise EngineError(f"unknown memory '{memory}' for tensorrt: expected auto, copy, mapped")
    device = runtime.use_device(device_id)
    place = Path(folder) if folder else engine_folder()
    variant, manifest, plan = find(spec, precision, machine(device), place)
    options = {"slots": check_slots(slots), "graph": graph, "background": background, "letterbox": letterbox}
    return open_plan(plan, variant, device, memory, built_at=manifest.built_at, **options)


def open_plan(plan: bytes, spec: ModelSpec, device: runtime.Device, memory: str = "auto", **options: object) -> Engine:
    """An engine from trusted bytes. With memory "auto" a Jetson tries copies and shared memory and keeps the faster."""
    from camera_perception.engines.tensorrt.engine import TensorRtEngine

    def opened(mapped: bool) -> Engine:
        build = command(spec, spec.precision)
        return cast(Engine, TensorRtEngine(plan, spec, device, mapped=mapped, build=build, **options))  # type: ignore[arg-type]

    if memory != "auto" or not device.integrated:
        return opened(memory == "mapped")
    copying, sharing = opened(False), opened(True)
    slower, faster = sorted((copying, sharing), key=median_ms, reverse=True)
    slower.close()
    return faster


def find(spec: ModelSpec, precision: str, here: Machine, folder: Path) -> tuple[ModelSpec, Manifest, bytes]:
    """The variant of the model, the manifest and the bytes of its fastest engine that is as it was when it was checked.

    EngineMissing says what is wrong with the nearest one, and the command that builds another.
    """
    if precision not in ("auto", *PRECISIONS):
        raise EngineError(f"unknown precision '{precision}' for tensorrt: expected auto, {', '.join(PRECISIONS)}")
    wanted = [v for v in variants(spec) if precision in ("auto", v.precision)]
    found = [(v, manifest) for v in wanted for _, manifest in matching(folder, EngineKey.of(v, here))]
    damaged = []
    for variant, manifest in sorted(found, key=lambda pair: pair[1].milliseconds):
        try:
            return variant, manifest, read_plan(folder, manifest)
        except EngineError as error:
            log.warning("%s", error)
            damaged.append(str(error))
    why = f"; {damaged[0]}" if damaged else _nearest(wanted, here, folder)
    raise EngineMissing(
        f"no TensorRT engine of model '{spec.name}' for this machine is in {folder}{why}: "
        f"build one with `{command(spec, precision)}`"
    )


def _nearest(wanted: list[ModelSpec], here: Machine, folder: Path) -> str:
    misses = [miss for v in wanted for miss in near_misses(folder, EngineKey.of(v, here))]
    return f"; the nearest was built for {min(misses, key=len)}" if misses else ""


def variants(spec: ModelSpec) -> list[ModelSpec]:
    """The model itself and its fp16, int8, fp8 folders inside the model folder, with the batch size of the model."""
    found = [spec]
    for name in PRECISIONS:
        if (spec.folder / name / "model.json").is_file():
            other = load_spec(spec.folder / name)
            found.append(replace(other, input=replace(other.input, batch=spec.input.batch)))
    return found


def variant(spec: ModelSpec, precision: str) -> ModelSpec:
    """The variant of that precision; ModelError gives the command that makes it."""
    for one in variants(spec):
        if one.precision == precision:
            return one
    raise ModelError(
        f"{spec.folder} has no {precision} variant: make it with "
        f"`perception-models quantize {spec.folder} --precision {precision}`"
    )


def machine(device: runtime.Device) -> Machine:
    """What engines that are built here are bound to."""
    import tensorrt

    return Machine(tensorrt.__version__, device.name, device.compute_capability, device.driver_major)


def engine_folder() -> Path:
    """~/.cache/camera_perception/engines, or below XDG_CACHE_HOME."""
    return cache_folder() / "engines"


def command(spec: ModelSpec, precision: str) -> str:
    """What to type to get an engine; without a precision it takes the fp16 variant where there is one."""
    wanted = "" if precision == "auto" else f" --precision {precision}"
    batch = f" --batch {spec.input.batch}" if spec.input.batch > 1 else ""
    folder = spec.folder.parent if spec.folder.name in PRECISIONS else spec.folder
    return f"camera-perception build-engine {folder}{wanted}{batch}"
