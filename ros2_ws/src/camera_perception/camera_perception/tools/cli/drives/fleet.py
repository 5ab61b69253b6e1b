"""`camera-perception fleet`: many recordings in parallel, and what can be learnt from them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from camera_perception.tools.cli.options import examples

fleet = typer.Typer(
    no_args_is_help=True,
    help="Replay many recordings in parallel, query and compare the results, find frames worth labelling.",
)

Store = Annotated[str, typer.Argument(help="Folder or s3:// address of a run: the --out of `fleet replay`.")]
Sources = Annotated[list[str], typer.Argument(help="Recordings, videos, folders of them, patterns, s3:// addresses.")]
ModelFolder = Annotated[
    Path | None, typer.Option("--model", "-m", help="Model folder. Default: the shipped one.", show_default=False)
]
Workers = Annotated[int, typer.Option("--workers", "-w", help="Worker processes or Ray actors.", min=1, metavar="N")]
Ray = Annotated[
    str | None,
    typer.Option(help="auto: the running cluster; local: start Ray here; or its address. Default: worker processes."),
]


def _examples(*lines: str) -> str:
    return examples(*lines, command="camera-perception fleet")


@fleet.command(
    epilog=_examples("replay 'drives/*.mcap' --out runs/a", "replay 's3://drives/*.mcap' --out s3://runs/a --ray auto")
)
def replay(
    sources: Sources,
    out: Annotated[str, typer.Option("--out", "-o", help="Store of the run: a folder, or an s3:// address.")],
    model: ModelFolder = None,
    workers: Workers = 1,
    ray: Ray = None,
    camera: Annotated[str | None, typer.Option(help="Image topic, or a name such as front. Default: all.")] = None,
    engine: Annotated[str, typer.Option("--engine", "-e", help="Backend; auto chooses once, for all units.")] = "auto",
    threads: Annotated[int, typer.Option(help="CPU threads of each worker.", min=1, metavar="N")] = 1,
    min_score: Annotated[
        float, typer.Option(help="Minimum score of candidates kept for mining.", min=0.0, max=1.0, metavar="X")
    ] = 0.1,
    embedding: Annotated[bool, typer.Option(help="Keep a feature vector per frame, for mining.")] = True,
    slice_mb: Annotated[
        int, typer.Option(help="Cut larger recordings into parts, MB; 0: never.", min=0, metavar="MB")
    ] = 0,
    deadline: Annotated[
        float, typer.Option(help="Seconds after which a unit counts as hanging.", min=1.0, metavar="S")
    ] = 3600.0,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Do failed units again.")] = False,
) -> None:
    """Run all images of many recordings through the pipeline, into a store. Run again to resume.

    Exit code 1 when units are left: run again. A recording that cannot be read is done: see `fleet status`.
    """
    from camera_perception.tools.fleet.work.replay import Settings, replay_fleet
    from camera_perception.tools.fleet.work.units import Job
    from camera_perception.tools.models.shipped import shipped_model

    job = Job("", engine, threads, camera, min_score, embedding)
    settings = Settings(workers, ray, deadline, slice_mb, retry_failed)
    summary = replay_fleet(sources, model or shipped_model(), out, job, settings)
    rate = summary.frames / summary.seconds if summary.seconds else 0.0
    typer.echo(
        f"{out}: {summary.total} units, {summary.before} were done before, {summary.done} done now, "
        f"{summary.failed} failed, {summary.left} left; {summary.frames} images in {summary.seconds:.1f} s "
        f"({rate:.1f}/s)"
    )
    for error in summary.errors[:10]:
        typer.secho(f"left: {error}", fg="red", err=True)
    if summary.left:
        raise typer.Exit(1)


@fleet.command(epilog=_examples("status runs/a"))
def status(store: Store) -> None:
    """Show how far a run is, its totals, and which recordings failed and why."""
    from camera_perception.tools.fleet.status import status_text
    from camera_perception.tools.fleet.store.storage import open_storage

    typer.echo(status_text(open_storage(store)))


@fleet.command(
    epilog=_examples(
        "query runs/a 'select class_name, count(*) from objects where reported group by 1 order by 2 desc'",
        "query runs/a 'select recording, reason from runs where status != $$ok$$' --csv",
    )
)
def query(
    store: Store,
    sql: Annotated[str, typer.Argument(help="SQL of DuckDB; `fleet columns` lists tables and columns.")],
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
) -> None:
    """Query the tables of a run with SQL."""
    import csv as writer
    import sys

    from camera_perception.core.text_table import text_table
    from camera_perception.tools.fleet.store.query import query as run
    from camera_perception.tools.fleet.store.storage import open_storage

    names, rows = run(open_storage(store), sql)
    if csv:
        writer.writer(sys.stdout).writerows([names, *rows])
    else:
        typer.echo(text_table(tuple(names), rows))


@fleet.command()
def columns() -> None:
    """List the tables of a store and the meaning of their columns."""
    from camera_perception.core.text_table import text_table
    from camera_perception.tools.fleet.store.schema import TABLES

    for table, named in TABLES.items():
        rows = [(name, kind, doc) for name, (kind, doc) in named.items()]
        typer.echo(f"{table}\n{text_table(('column', 'type', 'meaning'), rows)}\n")


@fleet.command(epilog=_examples("compact runs/a"))
def compact(store: Store) -> None:
    """Join the small files of a run, one per unit and table, so that queries are faster."""
    from camera_perception.tools.fleet.store.query import compact as run
    from camera_perception.tools.fleet.store.storage import open_storage

    before, after = run(open_storage(store))
    typer.echo(f"{store}: {before} files before, {after} after")


@fleet.command(
    epilog=_examples("compare runs/a runs/b --out out/compare", "compare runs/a runs/b --criteria criteria.yaml")
)
def compare(
    before: Store,
    after: Annotated[str, typer.Argument(help="Store of the new run, over the same recordings.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the page.")] = Path("out/fleet_compare"),
    criteria: Annotated[
        Path | None, typer.Option(help="YAML file of pass criteria. Default: built-in ones, see docs/fleet.md.")
    ] = None,
    pictures: Annotated[int, typer.Option(help="Images that changed most on the page.", min=0)] = 12,
) -> None:
    """Compare two runs drive by drive and slice by slice. Exit code 1 when a criterion is broken."""
    from camera_perception.core.text_table import text_table
    from camera_perception.tools.fleet.compare.page import compare_runs
    from camera_perception.tools.fleet.store.storage import open_storage

    verdicts, alone = compare_runs(open_storage(before), open_storage(after), out, criteria, pictures)
    broken = [each for each in verdicts if each.broken]
    rows = [(v.criterion.figure, f"{v.criterion.slice} {v.value}", v.before, v.after, v.broken) for v in broken]
    if rows:
        typer.echo(text_table(("figure", "slice", "before", "after", "broken"), rows))
    for address in alone:
        typer.secho(f"in one run only: {address}", fg="yellow", err=True)
    typer.echo(f"{len(verdicts) - len(broken)} of {len(verdicts)} criteria passed: {out / 'index.html'}")
    if broken:
        raise typer.Exit(1)


@fleet.command(
    epilog=_examples(
        "mine runs/a --count 500 --gap 2 --out hard",
        "mine runs/a --signals disagree,flicker --against runs/b --out hard",
    )
)
def mine(
    store: Store,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for images, frames.csv and sheet.jpg.")],
    signals: Annotated[
        str,
        typer.Option(
            help="Comma-separated: flicker, disagree, det-seg, size, rare, uncertainty, drift.",
            show_default="all but disagree, drift",
        ),
    ] = "flicker,det-seg,rare,uncertainty,size",
    count: Annotated[int, typer.Option(help="Number of frames; a tenth of them is random.", min=1, metavar="N")] = 100,
    gap: Annotated[str, typer.Option(help="Minimum time between frames of a camera, seconds.")] = "2",
    seed: Annotated[int, typer.Option(help="Of the random draws.", min=0, metavar="N")] = 0,
    against: Annotated[str | None, typer.Option(help="Another run over the same drives, for disagree.")] = None,
    reference: Annotated[str | None, typer.Option(help="A run over drives that the model knows, for drift.")] = None,
    anonymized: Annotated[
        bool, typer.Option("--require-anonymized", help="Refuse recordings that were not anonymised.")
    ] = False,
    known: Annotated[
        list[Path] | None, typer.Option(help="frames.csv of an earlier turn, not mined again. Repeatable.")
    ] = None,
) -> None:
    """Choose the frames worth labelling; the table and the sheet say why each was chosen."""
    from collections import Counter

    from camera_perception.tools.fleet.mining.mine import Mining
    from camera_perception.tools.fleet.mining.mine import mine as run
    from camera_perception.tools.fleet.store.storage import open_storage

    other, before = (open_storage(each) if each else None for each in (against, reference))
    mining = Mining(
        signals.split(","), count, float(gap.removesuffix("s")), seed, anonymized, other, before, known or ()
    )
    rows = run(open_storage(store), out, mining)
    for why, number in Counter(str(row["why"]) for row in rows).most_common():
        typer.echo(f"{number:6} {why}")
    typer.echo(f"{len(rows)} frames: {out / 'frames.csv'}, {out / 'sheet.jpg'}")


@fleet.command(epilog=_examples("anonymize 'drives/*.mcap' --out drives_covered --workers 4"))
def anonymize(
    sources: Sources,
    out: Annotated[str, typer.Option("--out", "-o", help="Folder or s3:// address of the covered copies.")],
    model: ModelFolder = None,
    engine: Annotated[str, typer.Option("--engine", "-e", help="Backend of the detector.")] = "auto",
    workers: Workers = 1,
) -> None:
    """Cover heads and number plates in many recordings, before they leave a site. Run again to resume.

    Exit code 1 when a recording could not be covered.
    """
    from camera_perception.tools.fleet.work.anonymize import anonymize_fleet
    from camera_perception.tools.models.shipped import shipped_model

    total, before, errors = anonymize_fleet(sources, out, [model or shipped_model()], engine, workers)
    typer.echo(f"{out}: {total} recordings, {before} were done before, {len(errors)} failed")
    for error in errors:
        typer.secho(error, fg="red", err=True)
    if errors:
        raise typer.Exit(1)


@fleet.command(epilog=_examples("serve runs/a"))
def serve(
    store: Store,
    port: Annotated[int, typer.Option(help="Port; 0: any free one.", min=0, max=65535, metavar="PORT")] = 8090,
) -> None:
    """Show a run in the browser of this machine: progress, figures per drive and slice, failures."""
    from camera_perception.tools.fleet.serve import page, server
    from camera_perception.tools.fleet.store.storage import open_storage

    storage = open_storage(store)
    page(storage)  # errors before the server starts
    with server(storage, port) as running:
        typer.echo(f"http://127.0.0.1:{running.server_address[1]} (Ctrl-C ends it)")
        try:
            running.serve_forever()
        except KeyboardInterrupt:
            pass
