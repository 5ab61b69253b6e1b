"""Commands that turn one model into another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perception_models.commands.options import Config, Data, Limit, Out, plain_errors


def export(
    out: Out,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Checkpoint to export, such as best.safetensors of a run")
    ] = None,
    untrained: Annotated[
        str, typer.Option(help="Network size n, s or m: export random weights instead of a checkpoint")
    ] = "",
    batch: Annotated[
        int | None, typer.Option(help="Images per inference: number of cameras that share the network. Default: 1")
    ] = None,
    other_size: Annotated[
        list[str] | None,
        typer.Option(help="Further input size, for cameras of another aspect ratio: WIDTHxHEIGHT; repeatable"),
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Overrides of the export settings, key=value: name=mine license=MIT")
    ] = None,
    config: Config = None,
) -> None:
    """Write a model folder and verify that ONNX Runtime and OpenVINO reproduce the PyTorch outputs."""
    with plain_errors():
        from perception_models.config import load_settings
        from perception_models.export.export import ExportConfig
        from perception_models.export.export import export as run
        from perception_models.export.other_sizes import export_sizes, parsed_size

        sizes = {size: parsed_size(size) for size in other_size or ()}
        if bool(checkpoint) == bool(untrained):
            raise ValueError("give either --checkpoint or --untrained")
        if checkpoint is None:
            from perception_models.export.untrained import write_untrained

            checkpoint = write_untrained(out / "untrained.safetensors", untrained)
        overrides = [*(overrides or []), *([f"batch={batch}"] if batch is not None else [])]
        lines = run(checkpoint, out, load_settings(ExportConfig, config, overrides))
        lines += export_sizes(checkpoint, out, sizes) if sizes else []
        for line in lines:
            typer.echo(line)


def soup(
    checkpoints: Annotated[
        list[Path], typer.Argument(help="Checkpoints trained from the same weights; the last provides the settings")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Checkpoint to write")] = Path("runs/soup.safetensors"),
    share: Annotated[
        list[float] | None, typer.Option(help="Relative weight of each checkpoint, in order; default: equal weights")
    ] = None,
) -> None:
    """Average the weights of several runs that started from the same weights (model soup)."""
    with plain_errors():
        from perception_models.compression.soup import soup as run

        for path, weight in zip(checkpoints, run(checkpoints, out, share)):
            typer.echo(f"{weight:.2f} of {path}")
        typer.echo(f"evaluate it: perception-models evaluate --model {out} --data DIR --out DIR")


def adjust(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint with a semantic head")],
    data: Annotated[list[Path], typer.Option(help="Labelled folder that it was trained on; repeatable")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Checkpoint to write")] = Path("runs/adjusted.safetensors"),
    strength: Annotated[float, typer.Option(help="Above 0, up to 1: as if all classes were equally common")] = 0.4,
) -> None:
    """Find more of the rare classes of the semantic map, such as sidewalks, by a bias of its last layer."""
    with plain_errors():
        from perception_models.compression.adjust import adjust as run

        for name, share in run(checkpoint, out, data, strength).items():
            typer.echo(f"{share:6.1%} of the labelled pixels: {name}")
        typer.echo(f"next: perception-models export --checkpoint {out} --out DIR")


def quantize(
    folder: Annotated[Path, typer.Argument(help="fp32 model folder; the variant becomes a subfolder")],
    precision: Annotated[str, typer.Option(help="Precision of the variant: fp16, int8 or fp8")] = "fp16",
    calibration: Annotated[
        Path | None, typer.Option(help="Recording, video or folder of images; required for int8 and fp8")
    ] = None,
    labelled: Annotated[
        Path | None, typer.Option(help="Labelled data: measure the loss per task and reject a variant that loses more")
    ] = None,
    count: Annotated[int, typer.Option(help="Maximum calibration images, evenly spaced", min=1)] = 200,
    most_lost: Annotated[
        float | None, typer.Option(help="Maximum loss per task, points of 100. Default: 0.2 for fp16, 1 for int8, fp8")
    ] = None,
    camera: Annotated[str | None, typer.Option(help="Image topic, for a recording with several cameras")] = None,
) -> None:
    """Write MODEL/fp16, MODEL/int8 or MODEL/fp8 and check it on the CPU. Next: `camera-perception build-engine`."""
    with plain_errors():
        from perception_models.compression.quantize import quantize as run

        made = run(folder, precision, calibration, labelled, count, most_lost, camera)
        typer.echo(f"{made.folder}: {made.convs} convolutions in {precision}" if made.convs else f"{made.folder}: fp16")
        for line in made.deviations:
            typer.echo(f"  {line}")
        for task, points in made.lost.items():
            typer.echo(f"  {task:14} {points:+.2f} points lost")


def variants(
    folder: Annotated[Path, typer.Argument(help="fp32 model folder; the variants become its subfolders")],
    calibration: Annotated[Path, typer.Option(help="Recording, video or folder of images for int8 and fp8")],
    data: Data,
    precision: Annotated[
        list[str] | None, typer.Option(help="fp16, int8 or fp8; repeatable. Default: fp16 and int8")
    ] = None,
    count: Annotated[int, typer.Option(help="Maximum calibration images, evenly spaced", min=1)] = 200,
    limit: Annotated[int, typer.Option(help="Maximum images per data set, evenly spaced", min=1)] = 200,
    most_lost: Annotated[
        float | None,
        typer.Option(help="Maximum loss per metric, points of 100. Default: 0.2 for fp16, 1 for int8, fp8"),
    ] = None,
    force: Annotated[bool, typer.Option(help="Make those again that are up to date")] = False,
) -> None:
    """Write MODEL/fp16 and MODEL/int8, each with metrics.json: what it loses against fp32. Keeps those up to date.

    Example: perception-models variants models/mine --calibration drive.mcap --data data/val
    """
    with plain_errors():
        from perception_models.compression.variants import SHIPPED, Recipe, write_variants

        recipe = Recipe(calibration, tuple(data), count, limit)
        made = write_variants(folder, recipe, precision or SHIPPED, most_lost, force, typer.echo)
        for variant in made:
            metric, points = max(variant.lost.items(), key=lambda item: item[1], default=("nothing", 0.0))
            typer.echo(f"{variant.folder}: loses most in {metric}, {points:+.2f} points")
        typer.echo(f"next, on the vehicle: camera-perception build-engine {folder}")


def precisions(
    folder: Annotated[Path, typer.Argument(help="fp32 model folder, read only")],
    calibration: Annotated[Path, typer.Option(help="Recording, video or folder of images for int8 and fp8")],
    data: Data,
    out: Out = Path("out/precisions"),
    limit: Annotated[int, typer.Option(help="Maximum images per data set, evenly spaced", min=1)] = 100,
    count: Annotated[int, typer.Option(help="Maximum calibration images, evenly spaced", min=1)] = 100,
    page: Annotated[
        Path | None, typer.Option(help="Markdown page whose <!-- precisions --> block receives the table")
    ] = None,
) -> None:
    """Compare fp16, int8 and fp8 with fp32 per task, measured on the CPU: a table."""
    with plain_errors():
        from camera_perception.core.model_spec import load_spec
        from camera_perception.tools.bench.report import put_into
        from perception_models.compression.compare_precisions import markdown
        from perception_models.compression.compare_precisions import precisions as run

        data_options = " ".join(f"--data {path}" for path in data)
        command = f"perception-models precisions {folder} --calibration {calibration} {data_options} --limit {limit}"
        text = markdown(run(folder, calibration, data, out, limit, count), command, load_spec(folder))
        if page is not None:
            put_into(page, text, "precisions")
        typer.echo(text)


def calibrate_scores(
    model: Annotated[Path, typer.Argument(help="Model folder; its model.json is changed unless --out is given")],
    real: Annotated[
        list[str],
        typer.Option(help="Labelled real pictures held out of training, FOLDER or FOLDER:PATTERN; repeatable"),
    ],
    rendered: Annotated[
        list[str] | None, typer.Option(help="Rendered validation pictures, with scene labels; repeatable")
    ] = None,
    dry: Annotated[
        list[str] | None, typer.Option(help="Real pictures without rain, snow and fog; labels unused; repeatable")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for a changed copy of the model")] = None,
    limit: Limit = None,
) -> None:
    """Calibrate object scores and choose thresholds per class and scene label: options in model.json.

    Example: perception-models calibrate-scores models/mine --real "data/coco:*7.jpg" --rendered data/render/val
    """
    with plain_errors():
        from perception_models.evaluation.real.calibrate import calibrate_scores as run
        from perception_models.evaluation.real.calibrate import text_of

        typer.echo(text_of(run(model, real, rendered or [], dry or [], out, limit)))
        typer.echo(f"written to {(out or model) / 'model.json'}")


def prune(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint to prune, such as best.safetensors of a run")],
    out: Out,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="Channel counts that replace --keep, of stem, widths, neck, fine: neck=48"),
    ] = None,
    keep: Annotated[
        float, typer.Option(help="Fraction of channels to keep, 0 to 1; counts are rounded to multiples of 16")
    ] = 0.75,
    lost: Annotated[
        float | None,
        typer.Option(
            help="For efficientnet_lite0, in place of --keep: largest share of the variance of a block's output to "
            "lose when channels inside it are removed and the rest is refitted, such as 0.05; needs --data"
        ),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Labelled data to rank channels by (Taylor); default: rank by weight magnitude"),
    ] = None,
    images: Annotated[
        int | None, typer.Option(help="Number of images taken from --data. Default: 32; 200 with --lost", min=1)
    ] = None,
    speed: Annotated[bool, typer.Option(help="Time both networks on this CPU, exported, one thread")] = True,
) -> None:
    """Remove the least important channels: pruned.safetensors, and finetune.yaml to train the rest again."""
    with plain_errors():
        from perception_models.compression.prune import labelled_batches, prune_blocks, pruned_speed
        from perception_models.compression.prune import prune as run

        count = images or (200 if lost is not None else 32)
        batches = labelled_batches(checkpoint, data or [], count, 8 if lost is not None else count)
        if lost is None:
            made = run(checkpoint, out, keep, overrides, *batches)
        elif batches:
            made = prune_blocks(checkpoint, out, [batch["images"] for batch in batches], lost)
        else:
            raise ValueError("--lost needs images: give --data FOLDER, or --keep to prune by weights alone")
        for name, (before, after) in {"parameters": made.parameters, "MACs": made.macs}.items():
            typer.echo(f"{name:10} {before:>13,} -> {after:>13,}  {after / before:.2f}")
        if speed:
            old, new = (1000 * seconds for seconds in pruned_speed(checkpoint, made.checkpoint))
            typer.echo(f"{'CPU time':10} {old:10.1f} ms -> {new:10.1f} ms  {new / old:.2f}")
        typer.echo(f"fine-tune it: perception-models train -c {made.config} -o {out / 'run'} optimizer.lr=0.0005")


COMMANDS = (export, calibrate_scores, soup, adjust, quantize, variants, precisions, prune)
