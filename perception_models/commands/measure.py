"""Commands that say how good a model is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perception_models.commands.options import Out, Split, plain_errors


def evaluate(
    model: Annotated[Path, typer.Option(help="Model folder, ONNX file beside its model.json, or checkpoint")],
    data: Annotated[list[Path], typer.Option(help="Folder of labelled data, or one that holds several")],
    out: Out,
    protocol: Annotated[str, typer.Option(help="own, or yolop: also the figures of papers on BDD100K")] = "own",
    limit: Annotated[int | None, typer.Option(help="At most so many images of each data set", min=1)] = None,
    mirrored: Annotated[bool, typer.Option(help="Look at every image in a mirror")] = False,
    engine: Annotated[str, typer.Option(help="Backend of the vehicle's library")] = "onnxruntime",
    split: Split = "val",
) -> None:
    """Measure a model with the vehicle's own decoder: metrics.json and report.html."""
    with plain_errors():
        from perception_models.evaluation import evaluate as run

        for name, figures in run(model, data, out, protocol, limit, mirrored, engine, split)["datasets"].items():
            typer.echo(f"{name} ({figures['images']} images)")
            for figure, value in figures["headlines"].items():
                typer.echo(f"  {figure:14} {value:.3f}")
        typer.echo(f"report: {out / 'report.html'}")


def attack(
    checkpoint: Annotated[Path, typer.Option(help="best.safetensors of a run")],
    data: Annotated[list[Path], typer.Option(help="Folder of labelled data, or one that holds several")],
    out: Out,
    strength: Annotated[list[float] | None, typer.Option(help="Largest change in levels of 255: 1, 2, 4")] = None,
    steps: Annotated[int, typer.Option(help="Steps of PGD; 1: FGSM alone")] = 10,
    limit: Annotated[int, typer.Option(help="At most so many images of each data set")] = 100,
) -> None:
    """Measure a network on pictures that were changed to mislead it."""
    with plain_errors():
        from perception_models.evaluation.attack import attack as run
        from perception_models.experiments.compare import table

        typer.echo(table(run(checkpoint, data, out, strength or [1.0, 2.0, 4.0], steps, limit)))


def explain(
    model: Annotated[Path, typer.Option(help="Model folder (needs no torch), or checkpoint")],
    images: Annotated[Path, typer.Option(help="Image, folder of images, video or recording")],
    out: Out,
    method: Annotated[
        str, typer.Option(help="occlusion (any model), gradients (checkpoints), auto: gradients if possible")
    ] = "auto",
    every: Annotated[int, typer.Option(help="Take every n-th image", min=1)] = 1,
    objects: Annotated[int, typer.Option(help="The so many surest objects of an image", min=0)] = 6,
    masks: Annotated[int, typer.Option(help="Looks per image of occlusion; more are sharper and slower", min=10)] = 400,
) -> None:
    """Show which pixels made the network say that: a sheet per image and explain.json."""
    with plain_errors():
        from perception_models.evaluation.explain.run import explain as run

        for path, rows in run(model, images, out, method, every, objects, masks):
            typer.echo(path if rows else f"{path.stem}: nothing is reported here, so there is no sheet")
            for row in rows:
                left = f"{row['left_without_evidence']:.2f} ({row['left_without_elsewhere']:.2f} elsewhere)"
                typer.echo(f"  {row['said']:36} without its evidence {left}")
