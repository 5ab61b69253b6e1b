"""Commands that make models from models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perception_models.commands.options import Config, Out, Overrides, plain_errors


def export(
    out: Out,
    checkpoint: Annotated[Path | None, typer.Option(help="best.safetensors of a run")] = None,
    untrained: Annotated[str, typer.Option(help="Instead of a checkpoint: random weights of size n, s or m")] = "",
    batch: Annotated[int | None, typer.Option(help="Images at once: cameras of a rig that share the network")] = None,
    overrides: Overrides = None,
    config: Config = None,
) -> None:
    """Write a model folder and check that ONNX Runtime and OpenVINO say what torch says."""
    with plain_errors():
        from perception_models.config import load_settings
        from perception_models.export.export import ExportConfig
        from perception_models.export.export import export as run

        if bool(checkpoint) == bool(untrained):
            raise ValueError("give either --checkpoint or --untrained")
        if checkpoint is None:
            from perception_models.export.untrained import write_untrained

            checkpoint = write_untrained(out / "untrained.safetensors", untrained)
        words = [*(overrides or []), *([f"batch={batch}"] if batch is not None else [])]
        for line in run(checkpoint, out, load_settings(ExportConfig, config, words)):
            typer.echo(line)


def soup(
    checkpoints: Annotated[
        list[Path], typer.Argument(help="Trained from the same weights; the last gives the settings")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Checkpoint to write")] = Path("runs/soup.safetensors"),
    share: Annotated[list[float] | None, typer.Option(help="Once per checkpoint; equal shares without")] = None,
) -> None:
    """Write the mean of several trainings that began with the same weights: often better than each of them."""
    with plain_errors():
        from perception_models.compression.soup import soup as run

        for path, weight in zip(checkpoints, run(checkpoints, out, share)):
            typer.echo(f"{weight:.2f} of {path}")
        typer.echo(f"measure it: perception-models evaluate --model {out} --data DIR --out DIR")


def quantize(
    folder: Annotated[Path, typer.Argument(help="Model folder in fp32; the variant becomes a folder in it")],
    precision: Annotated[str, typer.Option(help="fp16, int8 or fp8")] = "fp16",
    calibration: Annotated[
        Path | None, typer.Option(help="Recording, video or folder of images; int8 and fp8 need it")
    ] = None,
    labelled: Annotated[Path | None, typer.Option(help="Labelled images: measure and gate the loss per task")] = None,
    count: Annotated[int, typer.Option(help="Calibration images, evenly spread", min=1)] = 200,
    most_lost: Annotated[float | None, typer.Option(help="Points a task may lose; fp16 0.2, the others 1")] = None,
) -> None:
    """Write MODEL/fp16, MODEL/int8 or MODEL/fp8 and check it on the CPU; `camera-perception build-engine` goes on."""
    with plain_errors():
        from perception_models.compression.quantize import quantize as run

        made = run(folder, precision, calibration, labelled, count, most_lost)
        typer.echo(f"{made.folder}: {made.convs} convolutions in {precision}" if made.convs else f"{made.folder}: fp16")
        for line in made.deviations:
            typer.echo(f"  {line}")
        for task, points in made.lost.items():
            typer.echo(f"  {task:14} {points:+.2f} points lost")


def precisions(
    folder: Annotated[Path, typer.Argument(help="Model folder in fp32; nothing is written to it")],
    calibration: Annotated[Path, typer.Option(help="Recording, video or folder of images for int8 and fp8")],
    data: Annotated[list[Path], typer.Option(help="Folder of labelled data, or one that holds several")],
    out: Out = Path("out/precisions"),
    limit: Annotated[int, typer.Option(help="At most so many images of each data set", min=1)] = 100,
    count: Annotated[int, typer.Option(help="Calibration images, evenly spread", min=1)] = 100,
    page: Annotated[Path | None, typer.Option(help="Markdown page with marks to put the table between")] = None,
) -> None:
    """What fp16, int8 and fp8 lose per task against fp32, measured on the CPU: a table."""
    with plain_errors():
        from camera_perception.core.model_spec import load_spec
        from camera_perception.tools.bench.report import put_into
        from perception_models.compression.compare_precisions import markdown
        from perception_models.compression.compare_precisions import precisions as run

        places = " ".join(f"--data {path}" for path in data)
        command = f"perception-models precisions {folder} --calibration {calibration} {places} --limit {limit}"
        text = markdown(run(folder, calibration, data, out, limit, count), command, load_spec(folder))
        if page is not None:
            put_into(page, text, "precisions")
        typer.echo(text)


def prune(
    checkpoint: Annotated[Path, typer.Argument(help="best.safetensors of a run")],
    out: Out,
    overrides: Annotated[
        list[str] | None, typer.Argument(help="channels over --keep: stem, widths, neck, fine: neck=48")
    ] = None,
    keep: Annotated[float, typer.Option(help="Share of the channels that stay, rounded to multiples of 16")] = 0.75,
    data: Annotated[
        list[Path] | None, typer.Option(help="Labelled images that tell what matters (Taylor); else the weights do")
    ] = None,
    images: Annotated[int, typer.Option(help="So many of them", min=1)] = 32,
    speed: Annotated[bool, typer.Option(help="Measure both on this CPU, exported, one thread")] = True,
) -> None:
    """Cut the channels that carry least: OUT/pruned.safetensors, and OUT/finetune.yaml to train the rest again."""
    with plain_errors():
        from perception_models.compression.prune import labelled_batch, pruned_speed
        from perception_models.compression.prune import prune as run

        made = run(checkpoint, out, keep, overrides, labelled_batch(checkpoint, data, images) if data else None)
        for name, (before, after) in {"parameters": made.parameters, "MACs": made.macs}.items():
            typer.echo(f"{name:10} {before:>13,} -> {after:>13,}  {after / before:.2f}")
        if speed:
            before, after = pruned_speed(checkpoint, made.checkpoint)
            typer.echo(f"{'CPU time':10} {1000 * before:10.1f} ms -> {1000 * after:10.1f} ms  {after / before:.2f}")
        typer.echo(f"let it recover: perception-models train -c {made.config} -o {out / 'run'} optimizer.lr=0.0005")
