"""perception-models: the command line. Each command imports what it needs when it runs, so --help is instant."""

from __future__ import annotations

import os
from contextlib import contextmanager
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Optional

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

Config = Annotated[Optional[Path], typer.Option("--config", "-c", help="YAML file; see perception_models/configs")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write to")]
Overrides = Annotated[Optional[list[str]], typer.Argument(help="key=value words over the file: optimizer.lr=0.001")]


@contextmanager
def _plain_errors() -> Iterator[None]:
    """What users can do something about is one sentence, not a traceback. PERCEPTION_DEBUG=1 shows the traceback."""
    try:
        yield
    except (ValueError, OSError, RuntimeError, ArithmeticError) as error:
        if os.environ.get("PERCEPTION_DEBUG"):
            raise
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


@app.command()
def train(
    overrides: Overrides = None,
    config: Config = None,
    out: Out = Path("runs/run"),
    resume: Annotated[bool, typer.Option(help="Continue the run in --out, as if it had never stopped")] = False,
) -> None:
    """Train a network: runs/NAME/best.safetensors, last.safetensors, log.jsonl, tensorboard/."""
    with _plain_errors():
        from perception_models.settings import load_settings
        from perception_models.train import train as run
        from perception_models.training.config import TrainConfig

        best = run(load_settings(TrainConfig, config, overrides), out, resume)
        if os.environ.get("LOCAL_RANK", "0") == "0":
            typer.echo(f"best network: {best}\nexport it: perception-models export --checkpoint {best} --out MODEL_FOLDER")


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Option(help="best.safetensors of a run")],
    out: Out,
    overrides: Overrides = None,
    config: Config = None,
) -> None:
    """Write a model folder and check that ONNX Runtime and OpenVINO say what torch says."""
    with _plain_errors():
        from perception_models.export import ExportConfig, export as run
        from perception_models.settings import load_settings

        for line in run(checkpoint, out, load_settings(ExportConfig, config, overrides)):
            typer.echo(line)


if find_spec("perception_models.render.cli"):
    from perception_models.render.cli import app as render

    app.add_typer(render, name="render")
