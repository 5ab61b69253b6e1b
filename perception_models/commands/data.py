"""Commands for labelled data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perception_models.commands.options import Split, plain_errors


def check_data(
    folder: Annotated[Path, typer.Argument(help="Labelled data set, or a folder of several")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Output folder for counts.json and contact sheets")
    ] = None,
    split: Split = "val",
) -> None:
    """Count labels, list broken files and draw contact sheets. Exit status 1 if a file is broken."""
    with plain_errors():
        from perception_models.data.inspect import check, table

        results = check(folder, out, split)
    for name, counts in results.items():
        typer.echo(f"{name}\n{table(counts)}")
    if any(counts.broken for counts in results.values()):
        raise typer.Exit(1)


def cache_data(
    data: Annotated[list[Path], typer.Argument(help="Labelled data sets, or folders of several")],
    cache: Annotated[Path, typer.Option(help="Cache folder; name it as data.cache in the training configuration")],
    height: Annotated[int, typer.Option(help="Maximum image height, pixels")] = 384,
    width: Annotated[int, typer.Option(help="Maximum image width, pixels")] = 640,
    split: Split = "train",
) -> None:
    """Decode and shrink the images of data sets ahead of training, which otherwise does it when it starts."""
    with plain_errors():
        from perception_models.data.mix import open_mix
        from perception_models.data.registry import find_entries

        entries = [entry for folder in data for entry in find_entries(folder, split)]
        mix = open_mix(entries, cache, (height, width))
        typer.echo(f"{len(mix)} images in {cache}")


COMMANDS = (check_data, cache_data)
