"""Commands about labelled data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perception_models.commands.options import Split, plain_errors


def check_data(
    folder: Annotated[Path, typer.Argument(help="Folder of labelled data, or one that holds several")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for counts.json and contact sheets")] = None,
    split: Split = "val",
) -> None:
    """Count what a folder holds, name broken files, draw a labelled contact sheet. Exit 1 when something is broken."""
    with plain_errors():
        from perception_models.data.inspect import check, table

        results = check(folder, out, split)
    for name, counts in results.items():
        typer.echo(f"{name}\n{table(counts)}")
    if any(counts.broken for counts in results.values()):
        raise typer.Exit(1)


def cache_data(
    data: Annotated[list[Path], typer.Argument(help="Folders of labelled data, or ones that hold several")],
    cache: Annotated[Path, typer.Option(help="Where training will look for it: data.cache of its configuration")],
    height: int = 384,
    width: int = 640,
    split: Split = "train",
) -> None:
    """Decode and shrink images once, so that training reads them without work; it also does this by itself."""
    with plain_errors():
        from perception_models.data.mix import open_mix
        from perception_models.data.registry import find_entries

        entries = [entry for folder in data for entry in find_entries(folder, split)]
        mix = open_mix(entries, cache, (height, width))
        typer.echo(f"{len(mix)} images in {cache}")
