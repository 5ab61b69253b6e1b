"""`camera-perception profile`: writes down what is usual for a model, or compares drives with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer
from tqdm import tqdm

from camera_perception.core.errors import BadImage, ModelError
from camera_perception.core.model_spec import ModelSpec, load_spec
from camera_perception.core.text_table import text_table
from camera_perception.engines import Engine
from camera_perception.engines.select import load_engine
from camera_perception.pipeline import Pipeline
from camera_perception.tools.drift.histograms import Figures, figures_of
from camera_perception.tools.drift.monitor import EVERY, DriftMonitor, Moved
from camera_perception.tools.drift.profile import PARTS, WINDOW, load_profile, profile_of
from camera_perception.tools.replay.source import Source, open_source

Drive = list[tuple[int, Figures]]


def profile_command(
    paths: Sequence[Path],
    model: Path,
    out: Path | None,
    against: Path | None,
    camera: str | None,
    thresholds: Sequence[str],
    force: bool,
    backend: str,
    threads: int,
) -> None:
    """Write a profile; with `against` compare instead, typer.Exit(1) when something has moved."""
    spec, out = load_spec(model), out or model / "profile.json"
    usual = load_profile(against, spec) if against else None
    if usual is None and out.exists() and not force:
        raise ModelError(f"{out} exists already: give another --out, or --force to replace it")
    tuned = dict(parse_threshold(text, spec) for text in thresholds)
    sources = [open_source(path, camera) for path in paths]
    engine = load_engine(spec, backend, threads=threads) if threads else load_engine(spec, backend)
    try:
        pipeline = Pipeline(spec, engine)
        pipeline.tune(usual.thresholds if usual else tuned)
        drives = [figures_of_drive(source, spec, engine, pipeline.thresholds) for source in sources]
    finally:
        engine.close()
    if usual is not None:
        verdict([figure for drive in drives for figure in worst(drive, DriftMonitor(usual, spec))])
        return
    profile = profile_of(drives, spec, pipeline.thresholds, ", ".join(map(str, paths)))
    profile.save(out)
    typer.echo(f"{out}: {profile.frames} images, {profile.seconds:.0f} s, compared over {profile.window:.0f} s")
    if profile.window < WINDOW:
        typer.secho(f"short: give drives of {PARTS * WINDOW / 60:.0f} minutes or more together", fg="yellow")


def parse_threshold(text: str, spec: ModelSpec) -> tuple[str, float]:
    """ "objects=0.3" as head and score."""
    head, _, value = text.partition("=")
    try:
        score = float(value)
    except ValueError:
        score = -1.0
    heads = [each.head for each in spec.heads]
    if head not in heads or not 0 <= score <= 1:
        raise ModelError(f"--threshold {text}: give HEAD=SCORE with one of {', '.join(heads)} and a score of 0 to 1")
    return head, score


def figures_of_drive(source: Source, spec: ModelSpec, engine: Engine, thresholds: dict[str, float]) -> Drive:
    """Of every image that a monitor would look at. Images that cannot be decoded are left out."""
    pipeline = Pipeline(spec, engine, source.calibration)
    pipeline.tune(thresholds)
    drive: Drive = []
    last_ns: int | None = None
    for arrival in tqdm(source.arrivals, total=source.length or None, unit="img", desc=source.camera):
        try:
            perception = pipeline.run(arrival.frame())
        except BadImage:
            continue
        if last_ns is None or arrival.stamp_ns - last_ns >= (EVERY - 0.001) * 1e9:
            drive.append((arrival.stamp_ns, figures_of(perception, spec)))
            last_ns = arrival.stamp_ns
    return drive


def worst(drive: Drive, monitor: DriftMonitor) -> list[Moved]:
    """The worst window of each figure. ModelError when the drive is shorter than a window."""
    found: dict[str, Moved] = {}
    for stamp_ns, figures in drive:
        monitor.add(stamp_ns, figures)
        for figure in monitor.judgement.figures:
            if figure.name not in found or figure.divergence > found[figure.name].divergence:
                found[figure.name] = figure
    if not found:
        raise ModelError(
            f"the drive is shorter than the {monitor.profile.window:.0f} s that are compared: give a longer one"
        )
    return list(found.values())


def verdict(figures: Sequence[Moved]) -> None:
    """Print every figure, and end with exit code 1 when one has moved."""
    rows = [(f.name, f.divergence, f.limit, "moved" if f.far else "") for f in sorted(figures, key=lambda f: f.name)]
    typer.echo(text_table(("figure", "off by, bits", "limit", ""), rows))
    moved = [figure.name for figure in figures if figure.far]
    if moved:
        typer.secho(f"moved: {', '.join(moved)}", fg="red")
        raise typer.Exit(1)
    typer.secho("as usual", fg="green")
