"""`camera-perception build-engine`: a progress bar, then what was built and how near it is to the model."""

from __future__ import annotations

import logging
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

from camera_perception.core.errors import EngineError
from camera_perception.core.interruptible import run_with_progress_bar
from camera_perception.core.model_spec import load_spec
from camera_perception.core.text_table import text_table
from camera_perception.engines.build.build import BuiltEngine, build_engine, chosen_variant
from camera_perception.engines.build.gates import Measure
from camera_perception.engines.tensorrt.manifest import BuildOptions

log = logging.getLogger(__name__)
PLUGIN = "camera_perception.accuracy"  # entry point: (spec, engine, labelled folder) -> figure per task, 0..1


def build_command(
    folder: Path,
    precision: str,
    batch: int,
    options: BuildOptions,
    out: Path | None,
    labelled: Path | None,
    most_lost: float | None,
    force: bool,
) -> None:
    """Build and print the summary. Ctrl-C asks TensorRT to stop, which it does at the next step, leaving nothing."""
    import typer

    spec = load_spec(folder)
    chosen = chosen_variant(spec, precision)
    if batch and batch != spec.input.batch:
        log.warning(
            "model.json says batch %d, and nodes look for engines of that batch: to use batch %d in a node, write it "
            "into the input section and build again",
            spec.input.batch,
            batch,
        )
    chosen = replace(chosen, input=replace(chosen.input, batch=batch or spec.input.batch))
    measure = labelled_measure(labelled) if labelled else None
    built = run_with_progress_bar(
        lambda progress: build_engine(
            chosen, options, out, progress=progress, measure=measure, max_points_lost=most_lost, force=force
        )
    )
    typer.echo(summary(built))


def labelled_measure(labelled: Path) -> Measure:
    """Figures on a folder of labelled images, by the evaluation of perception_models where that is installed."""
    found = list(entry_points(group=PLUGIN))
    if not found:
        raise EngineError("--labelled needs the evaluation of perception_models: pip install -e . in the repository")
    figures = found[0].load()
    return lambda spec, engine: figures(spec, engine, labelled)


def summary(built: BuiltEngine) -> str:
    """What a user wants to know about an engine."""
    m = built.manifest
    rows = [(name, f"{p['worst']:.3g}", f"{p['share']:.2%}") for name, p in m.parity.items()]
    layers = ", ".join(f"{count} {name}" for name, count in m.layers.items()) or "not told"
    lines = [
        f"{'built' if built.fresh else 'already there'}: {built.path.parent / m.engine}",
        f"  {m.nbytes / 2**20:.1f} MiB, {m.milliseconds:.2f} ms per batch, built in {m.build_seconds:.0f} s",
        f"  layers: {layers}; one by one in the .layers.json beside it",
        text_table(("output", "worst difference", "outside"), rows) if rows else "  no reference to compare with",
    ]
    if m.accuracy:
        lines.append(text_table(("task", "points lost"), [(t, f"{p:+.2f}") for t, p in m.accuracy.items()]))
    return "\n".join(lines)
