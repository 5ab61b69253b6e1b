"""Options shared by several commands, and error reporting without tracebacks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[
    Path | None, typer.Option("--config", "-c", help="Configuration file (YAML); examples: perception_models/configs")
]
Data = Annotated[list[Path], typer.Option(help="Labelled data set, or a folder of several; repeatable")]
Limit = Annotated[int | None, typer.Option(help="Maximum images per data set, evenly spaced; default: all", min=1)]
Out = Annotated[Path, typer.Option("--out", "-o", help="Output folder")]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="Overrides of the configuration, key=value: optimizer.lr=0.001")
]
Resume = Annotated[bool, typer.Option(help="Resume the run in --out from its last checkpoint")]
TrainData = Annotated[
    list[Path] | None,
    typer.Option("--data", help="Labelled training data, or a folder of several; repeatable. Replaces data.train"),
]
ValData = Annotated[
    list[Path] | None, typer.Option("--val", help="Labelled validation data; repeatable. Replaces data.val")
]
Split = Annotated[str, typer.Option(help="Split of BDD100K, CULane or COCO, such as train or val")]


@contextmanager
def plain_errors() -> Iterator[None]:
    """Report errors that a user can fix as one sentence. PERCEPTION_DEBUG=1 shows the traceback."""
    from camera_perception.core.errors import PerceptionError

    try:
        yield
    except (PerceptionError, ValueError, OSError, RuntimeError, ArithmeticError) as error:
        if os.environ.get("PERCEPTION_DEBUG"):
            raise
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
