"""What commands share: options of the same name, and errors as one sentence."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[Path | None, typer.Option("--config", "-c", help="YAML file; see perception_models/configs")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write to")]
Overrides = Annotated[list[str] | None, typer.Argument(help="key=value words over the file: optimizer.lr=0.001")]

Split = Annotated[str, typer.Option(help="Part of BDD100K, CULane or COCO")]


@contextmanager
def plain_errors() -> Iterator[None]:
    """What users can do something about is one sentence, not a traceback. PERCEPTION_DEBUG=1 shows the traceback."""
    from camera_perception.core.errors import PerceptionError

    try:
        yield
    except (PerceptionError, ValueError, OSError, RuntimeError, ArithmeticError) as error:
        if os.environ.get("PERCEPTION_DEBUG"):
            raise
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
