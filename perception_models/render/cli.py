"""Command line of the renderer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Optional

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("LP_NUM_THREADS", "0")  # the software rasteriser: one process per core beats threads

import typer  # noqa: E402

app = typer.Typer(help="Driving scenes with exact labels, made from a seed.", no_args_is_help=True)

Size = Annotated[str, typer.Option(help="width x height in pixels")]
Seed = Annotated[int, typer.Option(help="the same seed gives the same pictures")]


@app.callback()
def _commands() -> None:
    """Driving scenes with exact labels, made from a seed."""


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(x) for x in text.lower().split("x"))
    except ValueError:
        raise typer.BadParameter(f"size {text!r}: write it as 640x384") from None
    return width, height


@app.command()
def dataset(
    out: Annotated[Path, typer.Option(help="folder to write")],
    count: Annotated[int, typer.Option(help="number of pictures")] = 1000,
    seed: Seed = 0,
    size: Size = "640x384",
    workers: Annotated[int, typer.Option(help="processes, each with its own engine")] = 2,
    split: Annotated[str, typer.Option(help="train, val or test: pictures that no other split has")] = "train",
    kind: Annotated[Optional[str], typer.Option(help="only highway, rural, city, residential or tunnel")] = None,
) -> None:
    """A labelled folder of random pictures; run again to go on where it stopped."""
    from perception_models.render.dataset import make_dataset

    offset = {"train": 0, "val": 30_000, "test": 60_000}[split]
    total = make_dataset(out, count, seed + offset, _size(size), workers, kind)
    typer.echo(f"{out}: {total} pictures")


if __name__ == "__main__":
    app()
