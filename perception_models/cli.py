"""The offline side: render labelled scenes, train, distil, measure and export networks."""

from __future__ import annotations

from importlib.util import find_spec

import typer

from perception_models.commands import data, learn, measure, models

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

COMMANDS = (
    learn.train,
    learn.distill,
    learn.pretrain,
    learn.search,
    learn.compare,
    learn.train_demo,
    models.soup,
    models.export,
    models.quantize,
    models.prune,
    models.precisions,
    measure.evaluate,
    measure.attack,
    measure.explain,
    data.check_data,
    data.cache_data,
)
for command in COMMANDS:
    app.command()(command)

if find_spec("driving_scenes.cli"):
    from driving_scenes.cli import app as render

    app.add_typer(render, name="render")
