"""`camera-perception build-engine`: a progress bar, then the engine and its deviation from the model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from camera_perception.core.errors import EngineError
from camera_perception.core.text_table import text_table
from camera_perception.engines.build.build import BuiltEngine, build_best, build_engine, chosen_variants
from camera_perception.engines.build.gates import Measure
from camera_perception.engines.serving.trusted import load_trusted
from camera_perception.engines.tensorrt.manifest import BuildOptions
from camera_perception.engines.tensorrt.package import PACKAGES, STANDARD, unavailable
from camera_perception.tools.interruptible import run_with_progress_bar

log = logging.getLogger(__name__)
PLUGIN = "camera_perception.accuracy"  # entry point: (spec, engine, labelled folder) -> metric per task, 0..1


def build_command(
    folder: Path,
    precision: str,
    batch: int,
    options: BuildOptions,
    out: Path | None,
    labelled: Path | None,
    most_lost: float | None,
    force: bool,
    backend: str,
    trusted: Sequence[str] = (),
) -> None:
    """Build and print a summary. After Ctrl-C, TensorRT stops at its next step and no files remain."""
    import typer

    spec = load_trusted(folder, trusted)
    package = chosen_package(backend)
    if reason := unavailable(package):
        raise EngineError(f"no engine can be built here: {reason}")
    tried = chosen_variants(spec, precision)
    if batch and batch != spec.input.batch:
        log.warning(
            "nodes look for engines with batch %d, as in model.json: to use batch %d in a node, set it in the input "
            "section of model.json and build again",
            spec.input.batch,
            batch,
        )
    tried = [replace(each, input=replace(each.input, batch=batch or spec.input.batch)) for each in tried]
    choices: dict[str, Any] = {
        "measure": labelled_measure(labelled) if labelled else None,
        "max_points_lost": most_lost,
        "force": force,
        "package": package,
    }
    built = run_with_progress_bar(
        lambda progress: build_best(
            tried, lambda chosen: build_engine(chosen, options, out, progress=progress, **choices)
        )
    )
    typer.echo(summary(built))


def chosen_package(backend: str) -> str:
    """NVIDIA's package that builds; auto is TensorRT, or TensorRT for RTX where only that is installed."""
    if backend not in ("auto", *PACKAGES):
        raise EngineError(f"unknown backend '{backend}': expected auto, {' or '.join(PACKAGES)}")
    usable = (name for name in PACKAGES if unavailable(name) is None)
    return next(usable, STANDARD) if backend == "auto" else backend


def labelled_measure(labelled: Path) -> Measure:
    """Metrics on a folder of labelled images, by the evaluation of perception_models if that is installed."""
    plugins = list(entry_points(group=PLUGIN))
    if not plugins:
        raise EngineError("--labelled needs the evaluation of perception_models: pip install -e . in the repository")
    evaluate = plugins[0].load()
    return lambda spec, engine: evaluate(spec, engine, labelled)


def summary(built: BuiltEngine) -> str:
    """File, size, speed, layers and deviations of an engine."""
    m = built.manifest
    rows = [(name, f"{p['worst']:.3g}", f"{p['share']:.2%}") for name, p in m.parity.items()]
    layers = ", ".join(f"{count} {name}" for name, count in m.layers.items()) or "not reported"
    lines = [
        f"{'built' if built.fresh else 'already built'}: {built.path.parent / m.engine}",
        f"  {m.nbytes / 2**20:.1f} MiB, {m.milliseconds:.2f} ms per batch, built in {m.build_seconds:.0f} s",
        f"  layers: {layers}; details in the .layers.json beside it",
        text_table(("output", "largest difference", "outside tolerance"), rows)
        if rows
        else "  no reference.npz to compare with",
    ]
    if m.accuracy:
        lines.append(text_table(("task", "points lost"), [(t, f"{p:+.2f}") for t, p in m.accuracy.items()]))
    return "\n".join(lines)
