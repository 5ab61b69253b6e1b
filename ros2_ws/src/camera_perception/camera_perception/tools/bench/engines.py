"""Inference time of every engine that passes the model's reference check, in turn, on the same image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from camera_perception.core.errors import EngineError
from camera_perception.core.model_spec import ModelSpec, load_spec
from camera_perception.engines import Engine
from camera_perception.engines.select import candidates, open_checked
from camera_perception.image.letterbox import Preprocessor
from camera_perception.tools.bench import synthetic_inputs
from camera_perception.tools.bench.metadata import model_metadata
from camera_perception.tools.bench.report import Table
from camera_perception.tools.bench.statistics import spread
from camera_perception.tools.bench.timing import time_in_turn


def measure_engines(folder: Path, threads: int, seconds: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """Spread of milliseconds for each backend that passes the model's reference, and the model's metadata."""
    spec = load_spec(folder)
    engines = usable(spec, threads)
    times = time_in_turn({name: runner(engine, spec) for name, engine in engines.items()}, seconds)
    for engine in engines.values():
        engine.close()
    return {name: spread(values) for name, values in times.items()}, model_metadata(spec)


def usable(spec: ModelSpec, threads: int) -> dict[str, Engine]:
    """Candidate -> engine, for all that pass the reference check. EngineError when none does."""
    engines, reasons = {}, []
    for candidate in candidates(spec):
        try:
            options: dict[str, Any] = {"threads": threads} if threads else {}
            engines[candidate.text] = open_checked(spec, candidate, **options)
        except EngineError as error:
            reasons.append(f"{candidate.text}: {error}")
    if not engines:
        raise EngineError(f"no engine can run {spec.folder}: {'; '.join(reasons)}")
    return engines


def runner(engine: Engine, spec: ModelSpec) -> Callable[[], None]:
    """A function that runs one inference of an image already in the input buffer."""
    image, preprocess = synthetic_inputs.image(), Preprocessor(spec.input)
    slot = engine.acquire()
    preprocess(image, slot.images[0])
    engine.release(slot)

    def run() -> None:
        slot = engine.acquire()
        engine.submit(slot)
        engine.wait(slot)
        engine.release(slot)

    return run


def engines_table(results: dict[str, Any]) -> Table:
    fastest = min(times["p50"] for times in results.values())
    rows = [(name, *times.values(), times["p50"] / fastest) for name, times in results.items()]
    return Table("Engines alone", ("engine", "p50 ms", "p95", "p99", "max", "ratio to the fastest"), rows)
