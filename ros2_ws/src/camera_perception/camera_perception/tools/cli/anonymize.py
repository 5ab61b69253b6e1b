"""`camera-perception anonymize`: what the command says and how it ends."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from camera_perception.core.model_spec import load_spec
from camera_perception.core.text_table import text_table
from camera_perception.engines.select import load_engine
from camera_perception.tools.privacy.anonymize import anonymize
from camera_perception.tools.privacy.finder import Finder
from camera_perception.tools.privacy.regions import Settings
from camera_perception.tools.privacy.report import Report
from camera_perception.tools.replay.source import image_files, is_bag


def anonymize_command(
    path: Path,
    out: Path,
    model: Path,
    settings: Settings,
    least: float,
    faces: bool,
    keep: Sequence[str],
    drop: Sequence[str],
    backend: str,
    threads: int,
) -> None:
    """Cover, and print what was covered."""
    spec = load_spec(model)
    engine = load_engine(spec, backend, threads=threads) if threads else load_engine(spec, backend)
    try:
        finder = Finder(spec, engine, least, faces)
        report = anonymize(path, out, finder, settings, keep=keep, drop=drop)
    finally:
        engine.close()
    typer.echo(summary(report))


def usual_hold(path: Path) -> float:
    """Seconds: image files need not follow one another in time."""
    alone = path.exists() and not is_bag(path) and bool(image_files(path))
    return 0.0 if alone else Settings().hold


def summary(report: Report) -> str:
    """A row per camera, and what was not looked at."""
    head = ("camera", "images", "covered", "%", "heads", "plates", "of them held", "left out")
    rows = [
        (name, tally.images, tally.covered, 100 * tally.row["share_covered"])
        + (tally.heads, tally.plates, tally.held, tally.left_out)
        for name, tally in report.cameras.items()
    ]
    dropped = f"\nleft out: {', '.join(report.dropped)}" if report.dropped else ""
    seen = f"\nlook at {report.paths[1]}: a network misses some, see docs/privacy.md"
    return f"{text_table(head, rows)}{dropped}\n\n{report.out}, {report.paths[0].name}{seen}"
