"""perception-models: the command line. Each command imports what it needs when it runs, so --help is instant."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

Config = Annotated[Path | None, typer.Option("--config", "-c", help="YAML file; see perception_models/configs")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write to")]
Overrides = Annotated[list[str] | None, typer.Argument(help="key=value words over the file: optimizer.lr=0.001")]


@contextmanager
def _plain_errors() -> Iterator[None]:
    """What users can do something about is one sentence, not a traceback. PERCEPTION_DEBUG=1 shows the traceback."""
    from camera_perception.errors import PerceptionError

    try:
        yield
    except (PerceptionError, ValueError, OSError, RuntimeError, ArithmeticError) as error:
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
            typer.echo(
                f"best network: {best}\nexport it: perception-models export --checkpoint {best} --out MODEL_FOLDER"
            )


@app.command()
def distill(
    teacher: Annotated[Path, typer.Option(help="best.safetensors of a larger network")],
    overrides: Overrides = None,
    config: Config = None,
    out: Out = Path("runs/distilled"),
    resume: Annotated[bool, typer.Option(help="Continue the run in --out, as if it had never stopped")] = False,
) -> None:
    """Train a network that also learns from a larger one; data without any labels help too."""
    train([*(overrides or []), f"distill.teacher={teacher}"], config, out, resume)


@app.command()
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
    with _plain_errors():
        from perception_models.compare import compare as run
        from perception_models.compare import table

        typer.echo(table(run(config, data, out, overrides or [], typer.echo, limit)))


@app.command()
def train_demo(
    overrides: Overrides = None,
    out: Out = Path("perception_models/zoo/demo"),
    run: Annotated[Path, typer.Option(help="Folder of the training")] = Path("runs/demo"),
    data: Annotated[Path, typer.Option(help="Folder for rendered pictures")] = Path("data"),
    real: Annotated[Path, typer.Option(help="Real labelled sets; without them rendered pictures have to do")] = Path(
        "../shared/data/labelled"
    ),
    pictures: Annotated[int, typer.Option(help="Rendered pictures to train on")] = 6000,
    workers: Annotated[int, typer.Option(help="Processes that render")] = 2,
) -> None:
    """Make the shipped model again: render, train, export, measure. Run again to go on where it stopped."""
    with _plain_errors():
        from perception_models.demo import Recipe, make_demo

        counts = (pictures, max(pictures // 20, 1), max(pictures // 10, 1))
        metrics = make_demo(Recipe(data, real, run, out, counts, workers=workers), overrides, typer.echo)
        for name, figures in metrics["datasets"].items():
            typer.echo(f"{name}: " + ", ".join(f"{k} {v:.3f}" for k, v in figures["headlines"].items()))


@app.command()
def export(
    out: Out,
    checkpoint: Annotated[Path | None, typer.Option(help="best.safetensors of a run")] = None,
    untrained: Annotated[str, typer.Option(help="Instead of a checkpoint: random weights of size n, s or m")] = "",
    overrides: Overrides = None,
    config: Config = None,
) -> None:
    """Write a model folder and check that ONNX Runtime and OpenVINO say what torch says."""
    with _plain_errors():
        from perception_models.export import ExportConfig
        from perception_models.export import export as run
        from perception_models.settings import load_settings

        if bool(checkpoint) == bool(untrained):
            raise ValueError("give either --checkpoint or --untrained")
        if checkpoint is None:
            from perception_models.untrained import write_untrained

            checkpoint = write_untrained(out / "untrained.safetensors", untrained)
        for line in run(checkpoint, out, load_settings(ExportConfig, config, overrides)):
            typer.echo(line)


@app.command()
def quantize(
    folder: Annotated[Path, typer.Argument(help="Model folder in fp32; the variant becomes a folder in it")],
    precision: Annotated[str, typer.Option(help="fp16 or int8")] = "fp16",
    calibration: Annotated[
        Path | None, typer.Option(help="Recording, video or folder of images; int8 needs it")
    ] = None,
    labelled: Annotated[Path | None, typer.Option(help="Labelled images: measure and gate the loss per task")] = None,
    count: Annotated[int, typer.Option(help="Calibration images, evenly spread", min=1)] = 200,
    most_lost: Annotated[float | None, typer.Option(help="Points a task may lose; fp16 0.2, int8 1")] = None,
) -> None:
    """Write MODEL/fp16 or MODEL/int8 and check it on the CPU; `camera-perception build-engine` takes it from there."""
    with _plain_errors():
        from perception_models.quantize import quantize as run

        made = run(folder, precision, calibration, labelled, count, most_lost)
        typer.echo(f"{made.folder}: {made.convs} convolutions in int8" if made.convs else f"{made.folder}: fp16")
        for line in made.deviations:
            typer.echo(f"  {line}")
        for task, points in made.lost.items():
            typer.echo(f"  {task:14} {points:+.2f} points lost")


@app.command()
def evaluate(
    model: Annotated[Path, typer.Option(help="Model folder, ONNX file beside its model.json, or checkpoint")],
    data: Annotated[list[Path], typer.Option(help="Folder of labelled data, or one that holds several")],
    out: Out,
    protocol: Annotated[str, typer.Option(help="own, or yolop: also the figures of papers on BDD100K")] = "own",
    limit: Annotated[int | None, typer.Option(help="At most so many images of each data set")] = None,
    mirrored: Annotated[bool, typer.Option(help="Look at every image in a mirror")] = False,
    engine: Annotated[str, typer.Option(help="Backend of the vehicle's library")] = "onnxruntime",
) -> None:
    """Measure a model with the vehicle's own decoder: metrics.json and report.html."""
    with _plain_errors():
        from perception_models.evaluation import evaluate as run

        for name, figures in run(model, data, out, protocol, limit, mirrored, engine)["datasets"].items():
            typer.echo(f"{name} ({figures['images']} images)")
            for figure, value in figures["headlines"].items():
                typer.echo(f"  {figure:14} {value:.3f}")
        typer.echo(f"report: {out / 'report.html'}")


@app.command()
def attack(
    checkpoint: Annotated[Path, typer.Option(help="best.safetensors of a run")],
    data: Annotated[list[Path], typer.Option(help="Folder of labelled data, or one that holds several")],
    out: Out,
    strength: Annotated[list[float] | None, typer.Option(help="Largest change in levels of 255: 1, 2, 4")] = None,
    steps: Annotated[int, typer.Option(help="Steps of PGD; 1: FGSM alone")] = 10,
    limit: Annotated[int, typer.Option(help="At most so many images of each data set")] = 100,
) -> None:
    """Measure a network on pictures that were changed to mislead it."""
    with _plain_errors():
        from perception_models.attack import attack as run
        from perception_models.compare import table

        typer.echo(table(run(checkpoint, data, out, strength or [1.0, 2.0, 4.0], steps, limit)))


@app.command()
def check_data(
    folder: Annotated[Path, typer.Argument(help="Folder of labelled data, or one that holds several")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for counts.json and contact sheets")] = None,
) -> None:
    """Count what a folder holds, name broken files, draw a labelled contact sheet. Exit 1 when something is broken."""
    with _plain_errors():
        from perception_models.data.check import check, table

        results = check(folder, out)
    for name, counts in results.items():
        typer.echo(f"{name}\n{table(counts)}")
    if any(counts.broken for counts in results.values()):
        raise typer.Exit(1)


@app.command()
def cache_data(
    data: Annotated[list[Path], typer.Argument(help="Folders of labelled data, or ones that hold several")],
    cache: Annotated[Path, typer.Option(help="Where training will look for it: data.cache of its configuration")],
    height: int = 384,
    width: int = 640,
    split: Annotated[str, typer.Option(help="Part of BDD100K or CULane")] = "train",
) -> None:
    """Decode and shrink images once, so that training reads them without work; it also does this by itself."""
    with _plain_errors():
        from perception_models.data.found import find_entries
        from perception_models.data.registry import open_mix

        entries = [entry for folder in data for entry in find_entries(folder, split)]
        mix = open_mix(entries, cache, (height, width))
        typer.echo(f"{len(mix)} images in {cache}")


if find_spec("perception_models.render.cli"):
    from perception_models.render.cli import app as render

    app.add_typer(render, name="render")
