"""The command line `camera-perception`. Commands import what they need when they run, so that --help is fast."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from camera_perception.tools.cli.drives.commands import drives
from camera_perception.tools.cli.machine.commands import machine
from camera_perception.tools.cli.models.commands import models
from camera_perception.tools.cli.options import Group, examples

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Camera perception without ROS: replay drives, check models and recordings, diagnose this machine.",
)
for subject in (drives, models, machine):
    app.add_typer(subject)  # without a name: its commands are ours


def _version(asked: bool) -> None:
    if asked:
        from camera_perception import __version__

        typer.echo(f"camera-perception {__version__}")
        raise typer.Exit()


@app.callback(epilog=examples("replay film.mp4 --out out/film", "doctor", "replay --help"))
def options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show log messages.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s: %(message)s")
