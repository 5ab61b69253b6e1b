"""Offline tools for the perception network: render and check data, train, compress, export, evaluate."""

from __future__ import annotations

from importlib.util import find_spec

import typer

from perception_models.commands import data, learn, measure, models

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

for command in (*learn.COMMANDS, *models.COMMANDS, *measure.COMMANDS, *data.COMMANDS):
    app.command()(command)

if find_spec("driving_scenes.cli"):
    from driving_scenes.cli import app as render

    app.add_typer(render, name="render")
