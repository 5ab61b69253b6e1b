"""Offline tools for the perception network: render and check data, train, compress, export, evaluate."""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec
from typing import Annotated

import typer

from perception_models.commands import data, learn, measure, models


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"perception-models {metadata.version('perception_models')}")
        raise typer.Exit()


app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


for command in (*learn.COMMANDS, *models.COMMANDS, *measure.COMMANDS, *data.COMMANDS):
    app.command()(command)

if find_spec("driving_scenes"):
    from driving_scenes.cli import app as render

    app.add_typer(render, name="render")
