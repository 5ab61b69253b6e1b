"""`camera-perception replay`: output and exit code of the command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from camera_perception.core.errors import BagError, CalibrationError
from camera_perception.core.model_spec import load_spec
from camera_perception.core.text_table import text_table
from camera_perception.engines.select import load_engine
from camera_perception.tools.replay.compare import Difference, compare_frames, table
from camera_perception.tools.replay.metrics import latency_table, object_table, read_frames
from camera_perception.tools.replay.replay import OUTPUTS, Result, replay
from camera_perception.tools.replay.source import open_source


def replay_command(
    path: Path,
    model: Path,
    out: Path,
    camera: str | None,
    mount: str | None,
    backend: str,
    threads: int,
    force: bool,
    limit: int,
    video: bool,
    reference: Path | None,
    tolerance: float,
) -> None:
    """Replay, print a summary, and compare with a reference if given; typer.Exit(1) when they differ."""
    if reference is not None:
        wanted = read_frames(recording_of(reference))  # before the long part
    source = open_source(path, camera, parse_mount(mount))
    spec = load_spec(model)
    engine = load_engine(spec, backend, threads=threads)
    if force:
        clear(out)
    try:
        result = replay(source, spec, engine, out, limit=limit, video=video)
    finally:
        engine.close()
    typer.echo(summary(result, engine.info.name))
    if reference is not None:
        verdict(compare_frames(read_frames(result.recording), wanted, tolerance), len(wanted))


def clear(out: Path) -> None:
    """Remove the files of an earlier replay from the folder, and nothing else."""
    for name in OUTPUTS:
        (out / name).unlink(missing_ok=True)


def parse_mount(text: str | None) -> tuple[float, ...] | None:
    """ "x,y,z,roll,pitch,yaw" as numbers."""
    if text is None:
        return None
    try:
        numbers = tuple(map(float, text.split(",")))
    except ValueError:
        numbers = ()
    if len(numbers) != 6 or numbers[2] <= 0:
        raise CalibrationError(f"--mount {text}: give x,y,z,roll,pitch,yaw in metres and radians, with z > 0")
    return numbers


def recording_of(path: Path) -> Path:
    """The perception.mcap in the output folder of a replay; any other path as it is."""
    inside = path / "perception.mcap"
    if inside.is_file():
        return inside
    if not path.exists():
        raise BagError(f"{path} does not exist: give the perception.mcap of an earlier replay")
    return path


def summary(result: Result, engine_name: str) -> str:
    """Latency and detections, for the terminal."""
    latency = text_table(
        ("ms", "p50", "p95", "p99", "max"), [(name, *values) for name, values in latency_table(result.frames)]
    )
    objects = text_table(("class", "detections", "tracks"), object_table(result.frames))
    rate = len(result.frames) / max(result.seconds, 1e-9)
    head = f"{len(result.frames)} images in {result.seconds:.1f} s ({rate:.1f}/s) on {engine_name}"
    return f"{head}\n\n{latency}\n\n{objects}\n\n{result.folder}: perception.mcap, report.html"


def verdict(differences: Sequence[Difference], count: int) -> None:
    """Print the differences; typer.Exit(1) if there are any."""
    if not differences:
        typer.secho(f"all {count} frames equal the reference", fg="green")
        return
    rows = [
        (row.field, row.frames, row.worst.actual, row.worst.wanted, row.worst.stamp_ns, row.worst.size)
        for row in table(differences)
    ]
    typer.echo(text_table(("field", "frames", "now", "reference", "worst at (ns)", "in tolerances"), rows))
    frames = len({difference.stamp_ns for difference in differences})
    typer.secho(f"{frames} of {count} frames differ from the reference", fg="red")
    raise typer.Exit(1)
