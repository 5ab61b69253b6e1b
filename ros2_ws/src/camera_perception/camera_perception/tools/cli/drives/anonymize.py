"""`camera-perception anonymize`: output of the command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from camera_perception.core.text_table import text_table
from camera_perception.io.bag_reader import is_bag
from camera_perception.tools.privacy.anonymize import anonymize
from camera_perception.tools.privacy.detector import open_detector
from camera_perception.tools.privacy.regions import Settings
from camera_perception.tools.privacy.report import Report
from camera_perception.tools.replay.source import image_files


def anonymize_command(
    path: Path,
    out: Path,
    models: Sequence[Path],
    settings: Settings,
    min_score: float,
    faces: bool,
    in_tiles: bool,
    keep: Sequence[str],
    drop: Sequence[str],
    backend: str,
    threads: int,
) -> None:
    """Cover heads and plates, and print a summary."""
    detector = open_detector(models, min_score, faces, in_tiles, backend, threads)
    try:
        report = anonymize(path, out, detector, settings, keep=keep, drop=drop)
    finally:
        detector.close()
    typer.echo(summary(report))


def default_hold(path: Path) -> float:
    """Default of --hold in seconds: 0 for image files, which need not be consecutive."""
    alone = path.exists() and not is_bag(path) and bool(image_files(path))
    return 0.0 if alone else Settings().hold


def summary(report: Report) -> str:
    """A row per camera, the dropped topics, and where the output is."""
    head = ("camera", "images", "covered", "%", "heads", "plates", "predicted", "undecodable")
    rows = [
        (name, tally.images, tally.covered, 100 * tally.row["share_covered"])
        + (tally.heads, tally.plates, tally.predicted, tally.left_out)
        for name, tally in report.cameras.items()
    ]
    dropped = f"\ndropped: {', '.join(report.dropped)}" if report.dropped else ""
    unseen = f"\nnot covered: {report.facts['not_covered'][0]}" if report.facts.get("not_covered") else ""
    advice = f"{unseen}\ncheck {report.paths[1]}; {report.paths[0].name} lists what else nobody looked for"
    return f"{text_table(head, rows)}{dropped}\n\n{report.out}, {report.paths[0].name}{advice}"
