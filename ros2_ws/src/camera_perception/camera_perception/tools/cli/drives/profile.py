"""`camera-perception profile`: write a reference profile of a model, or compare drives with one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer
from tqdm import tqdm

from camera_perception.core.errors import BadImage, ModelError
from camera_perception.core.model_spec import ModelSpec, load_spec
from camera_perception.core.text_table import text_table
from camera_perception.engines import Engine
from camera_perception.engines.serving.fitting import load_fitting
from camera_perception.pipeline import Pipeline
from camera_perception.tools.drift.histograms import Metrics, metrics_of
from camera_perception.tools.drift.monitor import PERIOD, DriftMonitor, MetricDrift
from camera_perception.tools.drift.profile import PARTS, WINDOW, load_profile, profile_of
from camera_perception.tools.replay.source import Source, open_source

Drive = list[tuple[int, Metrics]]


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
    """Write a profile; with `against` compare instead, typer.Exit(1) when a metric has drifted."""
    spec, out = load_spec(model), out or model / "profile.json"
    reference = load_profile(against, spec) if against else None
    if reference is None and out.exists() and not force:
        raise ModelError(f"{out} exists already: give another --out, or --force to replace it")
    tuned = dict(parse_threshold(text, spec) for text in thresholds)
    sources = [open_source(path, camera) for path in paths]
    engine = load_fitting(spec, backend, threads=threads)
    try:
        pipeline = Pipeline(spec, engine)
        pipeline.tune(reference.thresholds if reference else tuned)
        drives = [metrics_of_drive(source, spec, engine, pipeline.thresholds) for source in sources]
    finally:
        engine.close()
    if reference is not None:
        verdict([metric for drive in drives for metric in worst(drive, DriftMonitor(reference, spec))])
        return
    profile = profile_of(drives, spec, pipeline.thresholds, ", ".join(map(str, paths)))
    profile.save(out)
    typer.echo(f"{out}: {profile.frames} images, {profile.seconds:.0f} s, compared over {profile.window:.0f} s")
    if profile.window < WINDOW:
        typer.secho(f"short: give drives of {PARTS * WINDOW / 60:.0f} minutes or more in total", fg="yellow")


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


def metrics_of_drive(source: Source, spec: ModelSpec, engine: Engine, thresholds: dict[str, float]) -> Drive:
    """(stamp_ns, metrics) of every image that a monitor would sample; images that cannot be decoded are left out."""
    pipeline = Pipeline(spec, engine, source.calibration)
    pipeline.tune(thresholds)
    drive: Drive = []
    last_ns: int | None = None
    for arrival in tqdm(source.arrivals, total=source.length or None, unit="img", desc=source.camera, disable=None):
        try:
            perception = pipeline.run(arrival.frame())
        except BadImage:
            continue
        if last_ns is None or arrival.stamp_ns - last_ns >= (PERIOD - 0.001) * 1e9:
            drive.append((arrival.stamp_ns, metrics_of(perception, spec)))
            last_ns = arrival.stamp_ns
    return drive


def worst(drive: Drive, monitor: DriftMonitor) -> list[MetricDrift]:
    """The worst window of each metric. ModelError when the drive is shorter than a window."""
    worst: dict[str, MetricDrift] = {}
    for stamp_ns, metrics in drive:
        monitor.add(stamp_ns, metrics)
        for metric in monitor.result.metrics:
            if metric.name not in worst or metric.divergence > worst[metric.name].divergence:
                worst[metric.name] = metric
    if not worst:
        raise ModelError(f"the drive is shorter than a window of {monitor.profile.window:.0f} s: give a longer one")
    return list(worst.values())


def verdict(metrics: Sequence[MetricDrift]) -> None:
    """Print every metric; typer.Exit(1) when one has drifted."""
    metrics = sorted(metrics, key=lambda metric: metric.name)
    rows = [(m.name, m.divergence, m.limit, "drifted" if m.exceeds_limit else "") for m in metrics]
    typer.echo(text_table(("metric", "divergence (bits)", "limit", ""), rows))
    drifted = [metric.name for metric in metrics if metric.exceeds_limit]
    if drifted:
        typer.secho(f"drifted: {', '.join(drifted)}", fg="red")
        raise typer.Exit(1)
    typer.secho("no drift", fg="green")
