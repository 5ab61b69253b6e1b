"""Commands that train."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from perception_models.commands.options import Config, Out, Overrides, plain_errors


def train(
    overrides: Overrides = None,
    config: Config = None,
    out: Out = Path("runs/run"),
    resume: Annotated[bool, typer.Option(help="Continue the run in --out, as if it had never stopped")] = False,
) -> None:
    """Train a network: runs/NAME/best.safetensors, last.safetensors, log.jsonl, tensorboard/."""
    with plain_errors():
        best = _train(overrides, config, out, resume)
        _say(f"best network: {best}\nexport it: perception-models export --checkpoint {best} --out MODEL_FOLDER")


def distill(
    teacher: Annotated[Path, typer.Option(help="best.safetensors of a larger network")],
    overrides: Overrides = None,
    config: Config = None,
    out: Out = Path("runs/distilled"),
    resume: Annotated[bool, typer.Option(help="Continue the run in --out, as if it had never stopped")] = False,
) -> None:
    """Train a network that also learns from a larger one; data without any labels help too."""
    train([*(overrides or []), f"distill.teacher={teacher}"], config, out, resume)


def pretrain(
    sources: Annotated[
        list[Path], typer.Argument(help="Pictures without labels: data sets, folders, videos, recordings")
    ],
    out: Out,
    words: Annotated[
        list[str] | None, typer.Option("--set", "-s", help="key=value over the configuration: -s network.size=s")
    ] = None,
    config: Config = None,
    period: Annotated[float, typer.Option(help="Seconds between the frames taken from videos and recordings")] = 0.5,
    resume: Annotated[bool, typer.Option(help="Continue the run in --out, as if it had never stopped")] = False,
) -> None:
    """Train the trunk to fill in hidden parts of pictures; then: train transfer.weights=OUT/best.safetensors."""
    with plain_errors():
        from perception_models.training.pretrain.config import pretrain_overrides

        best = _train([*pretrain_overrides(sources, out, period), *(words or [])], config, out, resume)
        _say(f"pretrained trunk: {best}\ntrain from it: perception-models train transfer.weights={best} -c ... -o ...")


def search(
    config: Annotated[Path, typer.Option("--config", "-c", help="perception_models/configs/search.yaml, or your own")],
    out: Out,
    overrides: Overrides = None,
) -> None:
    """Find good values for a training by many short ones: table.md, search.png, best.yaml; run again to go on."""
    with plain_errors():
        from perception_models.training.search.run import search as run

        best = run(config, out, overrides or [], typer.echo)
        typer.echo(f"{out / 'table.md'}, {out / 'search.png'}\ntrain with the best: perception-models train -c {best}")


def compare(
    config: Annotated[
        Path, typer.Option("--config", "-c", help="perception_models/configs/compare_*.yaml, or your own")
    ],
    data: Annotated[list[Path], typer.Option(help="Folder of labelled data to measure on, or one that holds several")],
    out: Out,
    overrides: Overrides = None,
    limit: Annotated[int | None, typer.Option(help="Measure at most so many images of each data set")] = None,
) -> None:
    """Train and measure what a file lists, one after the other, and print a table; run again to go on."""
    with plain_errors():
        from perception_models.experiments.compare import compare as run
        from perception_models.experiments.compare import table

        typer.echo(table(run(config, data, out, overrides or [], typer.echo, limit)))
        typer.echo((out / "costs.md").read_text("utf-8"))


def train_demo(
    overrides: Overrides = None,
    out: Out = Path("perception_models/zoo/demo"),
    run: Annotated[Path, typer.Option(help="Folder of the training")] = Path("runs/demo"),
    data: Annotated[Path, typer.Option(help="Folder for rendered pictures")] = Path("data"),
    real: Annotated[Path, typer.Option(help="Real labelled sets; without them rendered pictures have to do")] = Path(
        "../shared/data/labelled"
    ),
    pictures: Annotated[
        int, typer.Option(help="Rendered pictures to train on; 43 % more of cities, 27 % from side cameras")
    ] = 3000,
    workers: Annotated[int, typer.Option(help="Processes that render")] = 2,
) -> None:
    """Make the shipped model again: render, train, export, measure. Run again to go on where it stopped."""
    with plain_errors():
        from perception_models.experiments.train_demo import Recipe, make_demo

        counts = tuple(max(pictures * count // Recipe.counts[0], 1) for count in Recipe.counts)
        metrics = make_demo(Recipe(data, real, run, out, counts, workers=workers), overrides, typer.echo)
        for name, figures in metrics["datasets"].items():
            typer.echo(f"{name}: " + ", ".join(f"{k} {v:.3f}" for k, v in figures["headlines"].items()))


def _train(words: list[str] | None, config: Path | None, out: Path, resume: bool) -> Path:
    from perception_models.config import load_settings
    from perception_models.training.config import TrainConfig
    from perception_models.training.train import train as run

    return run(load_settings(TrainConfig, config, words), out, resume)


def _say(text: str) -> None:
    """Once, however many processes train."""
    if os.environ.get("LOCAL_RANK", "0") == "0":
        typer.echo(text)
