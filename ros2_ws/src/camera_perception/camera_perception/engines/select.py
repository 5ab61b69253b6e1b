"""Selection of the backend that runs a model: a named one, or the fastest installed one that reproduces the reference.

Candidates are timed once per model, machine and installed versions. The choice is cached in ~/.cache/camera_perception
(or below XDG_CACHE_HOME).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from camera_perception.core.documents.parsing import MOST_BYTES, read_regular
from camera_perception.core.documents.parsing import parse as parse_document
from camera_perception.core.errors import EngineError, EngineMissing, ModelError
from camera_perception.core.model_spec import ModelSpec
from camera_perception.engines import BACKENDS, Engine, EngineInfo, backend_module
from camera_perception.engines.reference import require

WARM_UP_RUNS = 2
TIMED_RUNS = 15
TIMED_SECONDS = 1.0  # per candidate, whichever ends first
# A change of version repeats the timing.
PACKAGES = ("onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt", "tensorrt-rtx-cu12", "tensorrt-rtx-cu13")
GPU_BACKENDS = "tensorrt", "tensorrt_rtx"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Candidate:
    """A backend and how to load it; `text` is what a user may write: "openvino:bf16"."""

    backend: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        precision = self.options.get("precision")
        return f"{self.backend}:{precision}" if precision else self.backend


def load_engine(spec: ModelSpec, backend: str = "auto", *, check: bool = True, **options: Any) -> Engine:
    """A ready engine that reproduces the model's reference.

    backend "auto", a name of engines.BACKENDS, or name:precision such as "openvino:bf16"
    check   False skips the reference check; for tools that report deviations themselves
    options go to the backend's load; with auto only slots, threads, letterbox
    """
    if backend == "auto":
        return load_fastest(spec, **options)
    return open_best(spec, parse(backend), check=check, **options)


def load_fastest(spec: ModelSpec, **options: Any) -> Engine:
    """The cached choice if it still works, else the fastest that passes. EngineError lists why none did."""
    tried = candidates(spec)
    path = cache_path(spec, tried, options)
    if cached := read_choice(path, tried):
        try:
            return open_best(spec, cached, **options)
        except (EngineError, ModelError) as error:
            log.warning("%s was the fastest engine and now fails: %s", cached.text, error)
    engine, chosen, milliseconds = _fastest(spec, tried, options)
    write_choice(path, chosen, milliseconds)
    return engine


def parse(text: str) -> Candidate:
    """ "openvino:bf16" as a candidate; EngineError when the backend is unknown."""
    name, _, precision = text.partition(":")
    backend_module(name)
    return Candidate(name, {"precision": precision} if precision else {})


def name_of(info: EngineInfo) -> str:
    """What `parse` turns into the backend of an open engine: for another model, or another process."""
    return f"{info.backend}:{info.precision}" if info.backend == "openvino" else info.backend


def open_checked(spec: ModelSpec, candidate: Candidate, *, check: bool = True, **options: Any) -> Engine:
    """Load one candidate and compare it with the reference; it is closed again when it fails."""
    module = backend_module(candidate.backend)
    if reason := module.available():
        raise EngineError(reason)
    try:
        engine: Engine = module.load(spec, **{**candidate.options, **options})
    except TypeError as error:
        raise EngineError(f"{candidate.text} does not take these options: {error}") from error
    try:
        if check:
            require(engine, engine.spec)
    except (EngineError, ModelError):
        engine.close()
        raise
    return engine


def open_best(spec: ModelSpec, candidate: Candidate, *, check: bool = True, **options: Any) -> Engine:
    """As open_checked; of a GPU, where no precision is asked for, the fastest built engine that passes."""
    named = {"precision", "folder", "device_id"} & {*candidate.options, *options}
    each_alone = candidate.backend in GPU_BACKENDS and not named
    failed: Exception | None = None
    for precision in backend_module(candidate.backend).built_precisions(spec) if each_alone else ():
        try:
            return open_checked(spec, Candidate(candidate.backend, {"precision": precision}), check=check, **options)
        except EngineMissing:
            continue  # damaged
        except (EngineError, ModelError) as error:
            log.warning("engine %s:%s is not used: %s", candidate.backend, precision, error)
            failed = failed or error
    if failed:
        raise failed
    return open_checked(spec, candidate, check=check, **options)


def candidates(spec: ModelSpec) -> list[Candidate]:
    """Candidates of "auto" on this machine, in the order of trying; low precision only for models with a reference."""
    found: list[Candidate] = []
    found += [Candidate(name) for name in GPU_BACKENDS if _installed(name)]
    if _installed("openvino"):
        precisions = backend_module("openvino").precisions()
        found += [Candidate("openvino", {"precision": p}) for p in precisions if spec.reference or p == "fp32"]
    if _installed("onnxruntime"):
        found.append(Candidate("onnxruntime"))
    return found


def median_ms(engine: Engine) -> float:
    """Median time of one batch, milliseconds, with whatever the slot's input buffer contains."""
    times: list[float] = []
    stop = perf_counter() + TIMED_SECONDS
    while len(times) < WARM_UP_RUNS + 1 or (len(times) < TIMED_RUNS and perf_counter() < stop):
        slot = engine.acquire()
        try:
            started = perf_counter()
            engine.submit(slot)
            engine.wait(slot)
            times.append((perf_counter() - started) * 1e3)
        finally:
            engine.release(slot)
    return float(np.median(times[WARM_UP_RUNS:]))


def _fastest(
    spec: ModelSpec, tried: list[Candidate], options: dict[str, Any]
) -> tuple[Engine, Candidate, dict[str, float]]:
    """The fastest engine that passes its check, its candidate, and the times of all that passed."""
    best: tuple[float, Candidate, Engine] | None = None
    milliseconds: dict[str, float] = {}
    reasons = []
    for candidate in tried:
        try:
            engine = open_best(spec, candidate, **options)
        except (EngineError, ModelError) as error:
            reasons.append(f"{candidate.text}: {error}")
            level = logging.WARNING if isinstance(error, EngineMissing) else logging.INFO
            log.log(level, "engine %s is not used: %s", candidate.text, error)
            continue
        elapsed = milliseconds[candidate.text] = median_ms(engine)
        if best is None or elapsed < best[0]:
            if best:
                best[2].close()
            best = elapsed, candidate, engine
        else:
            engine.close()
        if candidate.backend in GPU_BACKENDS:  # a GPU that passed: no CPU backend comes close
            break
    if best is None:
        raise EngineError(f"no engine can run model '{spec.name}': {'; '.join(reasons) or _nothing_installed()}")
    return best[2], best[1], milliseconds


def _installed(backend: str) -> bool:
    try:
        return backend_module(backend).available() is None
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("camera_perception"):
            return False  # a build of this library without that backend
        raise


def _nothing_installed() -> str:
    return f"none of {', '.join(name for name in BACKENDS if name != 'recorded')} is installed; pip install onnxruntime"


# The cache


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "camera_perception"


def cache_path(spec: ModelSpec, tried: list[Candidate], options: dict[str, Any]) -> Path:
    """One file per model, machine, installed backends and options: a change in any of them repeats the timing."""
    parts = [
        spec.onnx_sha256,
        spec.input.shape,
        _machine(),
        _versions(),
        [c.text for c in tried],
        sorted(options.items()),
    ]
    key = hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:16]
    return cache_folder() / f"engine-{spec.name}-{key}.json"


def read_choice(path: Path, tried: list[Candidate]) -> Candidate | None:
    """The cached candidate; None when the file is missing or broken, or names none of the candidates."""
    try:
        chosen = parse_document(read_regular(path, MOST_BYTES["json"]), "json")["chosen"]
        candidate = Candidate(chosen["backend"], chosen["options"])
    except (ValueError, KeyError, TypeError):
        return None
    return candidate if candidate in tried else None


def write_choice(path: Path, candidate: Candidate, milliseconds: dict[str, float]) -> None:
    """Cache the choice; where that is impossible the next start takes a second longer."""
    text = json.dumps({"chosen": asdict(candidate), "milliseconds": milliseconds}, indent=1)
    part = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, "utf-8")
        part.replace(path)
    except OSError as error:
        log.info("the choice of engine cannot be cached in %s: %s", path, error)


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _machine() -> list[str]:
    """What decides which backend is fastest; not the host name, which changes with every start of a container."""
    return [platform.machine(), _cpu_model(), str(os.cpu_count()), os.environ.get("CUDA_VISIBLE_DEVICES", "")]


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
