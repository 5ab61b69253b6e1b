"""`camera-perception bench`: engines and components on this machine, without ROS."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from camera_perception.tools.bench.components import components_table, library_components, measure
from camera_perception.tools.bench.engines import engines_table, measure_engines
from camera_perception.tools.bench.metadata import machine
from camera_perception.tools.bench.report import Table, write

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def bench(
    model: Annotated[
        Path | None, typer.Option("--model", "-m", help="Model folder; its engines are timed, too.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for bench.json and bench.md.")] = Path(
        "out/bench/library"
    ),
    quick: Annotated[bool, typer.Option(help="A tenth of the time, for orientation only.")] = False,
    threads: Annotated[int, typer.Option(help="CPU threads of each engine; 0 = all cores.", min=0)] = 1,
) -> None:
    """Measure engines and single steps of the pipeline on this machine, in one run."""
    metadata: dict[str, Any] = {**machine(), "config": {"threads": threads, "quick": quick}}
    results: dict[str, Any] = {"metadata": metadata}
    tables: list[Table] = []
    if model is not None:
        results["engines"], metadata["model"] = measure_engines(model, threads, 2.0 if quick else 20.0)
        tables.append(engines_table(results["engines"]))
    results["components"] = measure_components(0.1 if quick else 1.0)
    tables.append(components_table(results["components"]))
    typer.echo("\n\n".join(table.text() for table in tables))
    write(out, results, tables, "camera-perception bench")
    typer.echo(f"\n{out}: bench.json, bench.md")


def measure_components(seconds: float) -> list[dict[str, Any]]:
    """All steps of the library on one core; seconds is per step."""
    import cv2

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        return measure(library_components(), seconds)
    finally:
        cv2.setNumThreads(threads)


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    command = typer.main.get_command(app)
    return int(command.main(list(arguments), "camera-perception bench", standalone_mode=False) or 0)
