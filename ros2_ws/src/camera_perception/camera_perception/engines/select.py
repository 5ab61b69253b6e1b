"""Which backend runs a model: a named one, or the fastest that is installed and reproduces the model's reference.

The choice is timed once per model and machine and remembered in ~/.cache/camera_perception (or XDG_CACHE_HOME).
"""

from __future__ import annotations

import logging
from inspect import signature
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from camera_perception.engines import BACKENDS, Engine, backend_module
from camera_perception.engines.choice import Candidate, cache_path, remember, remembered
from camera_perception.errors import EngineError, EngineMissing, ModelError
from camera_perception.model_spec import ModelSpec
from camera_perception.reference import require

WARM_UP_RUNS = 2
TIMED_RUNS = 15
OF_SOME = ("threads", "letterbox")  # options that not every backend has use for
TIMED_SECONDS = 1.0  # per candidate, whichever ends first

log = logging.getLogger(__name__)


def load_engine(spec: ModelSpec, backend: str = "auto", *, check: bool = True, **options: Any) -> Engine:
    """A ready engine that reproduces the model's reference.

    backend "auto", a name of engines.BACKENDS, or name:precision such as "openvino:bf16"
    check   False skips the reference check; for tools that report deviations themselves
    options go to the backend's load; with auto only slots, threads, letterbox
    """
    if backend == "auto":
        return choose(spec, **options)
    return open_checked(spec, parse(backend), check=check, **options)


def parse(text: str) -> Candidate:
    """ "openvino:bf16" as a candidate; EngineError when the backend is unknown."""
    name, _, precision = text.partition(":")
    backend_module(name)
    return Candidate(name, {"precision": precision} if precision else {})


def open_checked(spec: ModelSpec, candidate: Candidate, *, check: bool = True, **options: Any) -> Engine:
    """Load one candidate and compare it with the reference; it is closed again when it fails."""
    module = backend_module(candidate.backend)
    if reason := module.available():
        raise EngineError(reason)
    for name in OF_SOME:
        if name not in signature(module.load).parameters:
            options.pop(name, None)
    try:
        engine = module.load(spec, **{**candidate.options, **options})
    except TypeError as error:
        raise EngineError(f"{candidate.text} does not take these options: {error}") from error
    try:
        if check:
            require(engine, getattr(engine, "spec", spec))  # a TensorRT engine may come from a lower-precision variant
    except (EngineError, ModelError):
        engine.close()
        raise
    return engine


def candidates(spec: ModelSpec) -> list[Candidate]:
    """What auto may choose from here, in the order of trying. Low precision only for models that bring a reference."""
    found: list[Candidate] = []
    if _installed("tensorrt"):
        found.append(Candidate("tensorrt"))
    if _installed("openvino"):
        precisions = backend_module("openvino").precisions()
        found += [Candidate("openvino", {"precision": p}) for p in precisions if spec.reference or p == "fp32"]
    if _installed("onnxruntime"):
        found.append(Candidate("onnxruntime"))
    return found


def choose(spec: ModelSpec, **options: Any) -> Engine:
    """The remembered choice if it still holds, else the fastest that passes. EngineError lists why none did."""
    tried = candidates(spec)
    path = cache_path(spec, tried, options)
    if before := remembered(path, tried):
        try:
            return open_checked(spec, before, **options)
        except (EngineError, ModelError) as error:
            log.warning("%s was the fastest engine and now fails: %s", before.text, error)
    return _fastest(spec, tried, path, options)


def _fastest(spec: ModelSpec, tried: list[Candidate], path: Path, options: dict[str, Any]) -> Engine:
    best: tuple[float, Candidate, Engine] | None = None
    milliseconds: dict[str, float] = {}
    reasons = []
    for candidate in tried:
        try:
            engine = open_checked(spec, candidate, **options)
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
        if candidate.backend == "tensorrt":  # a GPU that passed: nothing on the CPU comes near
            break
    if best is None:
        raise EngineError(f"no engine can run model '{spec.name}': {'; '.join(reasons) or _nothing_installed()}")
    remember(path, best[1], milliseconds)
    return best[2]


def median_ms(engine: Engine, runs: int = TIMED_RUNS, seconds: float = TIMED_SECONDS) -> float:
    """Median time of one batch, milliseconds, measured on whatever the slot's input holds."""
    times: list[float] = []
    stop = perf_counter() + seconds
    while len(times) < WARM_UP_RUNS + 1 or (len(times) < runs and perf_counter() < stop):
        slot = engine.acquire()
        try:
            started = perf_counter()
            engine.submit(slot)
            engine.wait(slot)
            times.append((perf_counter() - started) * 1e3)
        finally:
            engine.release(slot)
    return float(np.median(times[WARM_UP_RUNS:]))


def _installed(backend: str) -> bool:
    try:
        return backend_module(backend).available() is None
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("camera_perception"):
            return False  # a build of this library without that backend
        raise


def _nothing_installed() -> str:
    return f"none of {', '.join(name for name in BACKENDS if name != 'recorded')} is installed; pip install onnxruntime"
