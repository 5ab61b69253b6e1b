"""Offline tools for the perception network: render and check data, train, compress, export, evaluate."""

from __future__ import annotations

import os
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
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
    objects: Annotated[
        str | None,
        typer.Option(
            help="Classes of objects other than the ten of DATA.md: NAME,NAME,... or a file with one name per line. "
            "Give it before the command, to each command that trains, exports or evaluates this network.",
            show_default=False,
        ),
    ] = None,
) -> None:
    if objects:
        _use_objects(objects)


def _use_objects(text: str) -> None:
    """Set the class list for this process and those it starts; label modules are imported later, by the command."""
    if (file := Path(text)).is_file():
        lines = file.read_text("utf-8-sig").splitlines()
        text = ",".join(line.strip() for line in lines if line.strip() and not line.startswith("#"))
    names = tuple(name.strip() for name in text.split(","))
    if "perception_models.data.labels" in sys.modules:
        from perception_models.data.labels import OBJECTS

        if names != OBJECTS:
            raise typer.BadParameter("the class list cannot change in a running process", param_hint="--objects")
    os.environ["PERCEPTION_OBJECTS"] = text


for command in (*learn.COMMANDS, *models.COMMANDS, *measure.COMMANDS, *data.COMMANDS):
    app.command()(command)

# In a clone without an installation, the folder driving_scenes looks like a package without a file.
if (found := find_spec("driving_scenes")) and found.origin:
    from driving_scenes.cli import app as render

    app.add_typer(render, name="render")
