"""Commands that measure and explain a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perception_models.commands.options import Data, Limit, Out, Split, plain_errors

SHARED = Path("../shared/data")


def evaluate(
    model: Annotated[Path, typer.Option(help="Model folder, ONNX file beside its model.json, or checkpoint")],
    data: Data,
    out: Out,
    protocol: Annotated[str, typer.Option(help="own, or yolop: adds the metrics of papers on BDD100K")] = "own",
    limit: Limit = None,
    mirrored: Annotated[bool, typer.Option(help="Evaluate horizontally flipped images")] = False,
    engine: Annotated[
        str,
        typer.Option(help="Inference engine: auto, onnxruntime, openvino, tensorrt or tensorrt_rtx, or NAME:PRECISION"),
    ] = "onnxruntime",
    split: Split = "val",
    corruptions: Annotated[
        int,
        typer.Option(
            help="Corrupt N images per data set by blur, noise, JPEG, low light, fog and rain at five strengths", min=0
        ),
    ] = 0,
) -> None:
    """Evaluate a model on labelled data with the decoder of the vehicle: metrics.json and report.html.

    Example: perception-models evaluate --model perception_models/zoo/demo --data data/val --out out/eval
    """
    with plain_errors():
        from perception_models.evaluation import evaluate as run

        results = run(model, data, out, protocol, limit, mirrored, engine, split, corruptions)
        for name, metrics in results["datasets"].items():
            typer.echo(f"{name} ({metrics['images']} images)")
            for metric, value in metrics["headlines"].items():
                typer.echo(f"  {metric:14} {value:.3f}")
        if "corruptions" in results:
            from perception_models.evaluation.robustness.corruptions import summary
            from perception_models.experiments.compare import table

            typer.echo(table(summary(results["corruptions"])))
        typer.echo(f"report: {out / 'report.html'}")


def attack(
    checkpoint: Annotated[Path, typer.Option(help="Checkpoint, such as best.safetensors of a run")],
    data: Data,
    out: Out,
    strength: Annotated[
        list[float] | None,
        typer.Option(help="Maximum change per channel, grey levels of 255; repeatable. Default: 1, 2 and 4"),
    ] = None,
    steps: Annotated[int, typer.Option(help="PGD steps; 1 runs FGSM only")] = 10,
    limit: Annotated[int, typer.Option(help="Maximum images per data set, evenly spaced")] = 100,
) -> None:
    """Measure robustness to adversarial perturbations (FGSM, PGD): a table and attack.json."""
    with plain_errors():
        from perception_models.evaluation.robustness.attack import attack as run
        from perception_models.experiments.compare import table

        typer.echo(table(run(checkpoint, data, out, strength or [1.0, 2.0, 4.0], steps, limit)))


def explain(
    model: Annotated[Path, typer.Option(help="Model folder (runs without torch), or checkpoint")],
    images: Annotated[Path, typer.Option(help="Image, folder of images, video or recording")],
    out: Out,
    method: Annotated[
        str, typer.Option(help="occlusion (any model), gradients (checkpoints only), or auto: gradients if possible")
    ] = "auto",
    every: Annotated[int, typer.Option(help="Use every N-th image", min=1)] = 1,
    objects: Annotated[int, typer.Option(help="Explain the N most confident objects per image", min=0)] = 6,
    masks: Annotated[
        int, typer.Option(help="Occlusion masks per image; more give sharper maps and take longer", min=10)
    ] = 400,
) -> None:
    """Show which pixels drove each prediction: a sheet of maps per image and explain.json."""
    with plain_errors():
        from perception_models.evaluation.explain.run import explain as run

        for path, rows in run(model, images, out, method, every, objects, masks):
            typer.echo(path if rows else f"{path.stem}: no predictions above the thresholds, no sheet written")
            for row in rows:
                left = f"{row['left_without_evidence']:.2f} ({row['left_without_elsewhere']:.2f} elsewhere)"
                typer.echo(f"  {row['said']:36} score without its evidence {left}")


def realbench(
    model: Annotated[Path, typer.Option(help="Model folder or checkpoint")] = Path("perception_models/zoo/demo"),
    data: Annotated[Path, typer.Option(help="Folder with labelled/, pictures/ and pandaset_002/")] = SHARED,
    teachers: Annotated[
        Path | None, typer.Option(help="Folder of public networks for comparison; default: teachers/ in --data")
    ] = None,
    out: Out = Path("out/realbench"),
    most: Annotated[int, typer.Option(help="Maximum pictures per set, evenly spaced", min=1)] = 150,
    engine: Annotated[str, typer.Option(help="Inference engine, as in evaluate")] = "onnxruntime",
    page: Annotated[
        Path | None, typer.Option(help="Markdown page whose text between its marks is replaced by the table")
    ] = None,
) -> None:
    """Measure a model on all real pictures at hand beside public networks: a table, metrics.json and sheets."""
    with plain_errors():
        from perception_models.evaluation.real.run import publish
        from perception_models.evaluation.real.run import realbench as run

        report = run(model, data, out, teachers or data / "teachers", most, engine)
        typer.echo(report.table.text())
        for line in report.skipped:
            typer.echo(line)
        typer.echo(f"{len(report.sheets)} sheets of pictures: {out / 'sheets'}")
        if page is not None:
            publish(out, page)


def failures(
    model: Annotated[Path, typer.Option(help="Model folder")] = Path("perception_models/zoo/demo"),
    data: Annotated[Path, typer.Option(help="Folder with pictures/")] = SHARED,
    teachers: Annotated[
        Path | None, typer.Option(help="Folder with yolox_nano.onnx, which covers people; default: teachers/ in --data")
    ] = None,
    engine: Annotated[str, typer.Option(help="Inference engine, as in evaluate")] = "onnxruntime",
) -> None:
    """Put the ten worst real pictures into MODEL/failures and into the model card: small, heads and plates covered.

    Covering misses some heads: look at every picture before you publish it.
    """
    with plain_errors():
        from perception_models.experiments.failures import failures as run

        for path in run(model, data, teachers or data / "teachers", engine=engine):
            typer.echo(path)
        typer.echo(f"{model / 'MODEL_CARD.md'} names them: look at all of them before you publish them")


COMMANDS = (evaluate, attack, explain, realbench, failures)
