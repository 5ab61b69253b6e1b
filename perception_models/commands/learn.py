"""Commands that train networks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from perception_models.commands.options import (
    Config,
    Limit,
    Out,
    Overrides,
    Resume,
    TrainData,
    ValData,
    plain_errors,
)


def train(
    overrides: Overrides = None,
    config: Config = None,
    data: TrainData = None,
    val: ValData = None,
    out: Out = Path("runs/run"),
    resume: Resume = False,
) -> None:
    """Train a network: best.safetensors, last.safetensors, log.jsonl and tensorboard/ in --out.

    Your own data: perception-models train --data data/train --val data/val --out runs/mine
    """
    with plain_errors():
        best = _train(overrides, config, out, resume, data, val)
        _echo_once(f"best network: {best}\nexport it: perception-models export --checkpoint {best} --out MODEL_FOLDER")


def distill(
    teacher: Annotated[Path, typer.Option(help="Checkpoint of a larger network, such as its best.safetensors")],
    overrides: Overrides = None,
    config: Config = None,
    out: Out = Path("runs/distilled"),
    resume: Resume = False,
) -> None:
    """Train a network with a larger one as teacher. Unlabelled images can be used too."""
    train([*(overrides or []), f"distill.teacher={teacher}"], config, out=out, resume=resume)


def label_maps(
    folders: Annotated[list[Path], typer.Argument(help="Labelled folders of real images (perception-models label)")],
    teacher: Annotated[list[Path], typer.Option("--teacher", help="Checkpoint; repeatable, their mean counts")],
    sure: Annotated[float, typer.Option(help="Minimum mean probability of a labelled pixel", min=0.5, max=1)] = 0.7,
) -> None:
    """Complete drivable and semantic masks by what trained networks are sure of, seen large, small and mirrored.

    perception-models label-maps data/real/driveai --teacher perception_models/zoo/checkpoints/demo.safetensors
    """
    with plain_errors():
        from perception_models.training.distill.maps import MapConfig
        from perception_models.training.distill.maps import label_maps as run

        for folder in folders:
            counts = run(folder, teacher, MapConfig(sure=sure))
            typer.echo(f"{folder}: {counts['drivable']} drivable, {counts['semantic']} semantic masks")


def pretrain(
    sources: Annotated[
        list[Path], typer.Argument(help="Unlabelled images: data sets, folders of images, videos, recordings")
    ],
    out: Out,
    words: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", help="Override of the configuration, key=value; repeatable: -s network.size=s"),
    ] = None,
    config: Config = None,
    period: Annotated[float, typer.Option(help="Interval between frames of videos and recordings, seconds")] = 0.5,
    resume: Resume = False,
) -> None:
    """Pretrain the backbone by masked image modelling; then: train transfer.weights=OUT/best.safetensors."""
    with plain_errors():
        from perception_models.training.pretrain.config import pretrain_overrides

        best = _train([*pretrain_overrides(sources, out, period), *(words or [])], config, out, resume)
        _echo_once(
            f"pretrained backbone: {best}\ntrain from it: perception-models train transfer.weights={best} -c ... -o ..."
        )


def search(
    config: Annotated[
        Path, typer.Option("--config", "-c", help="Search configuration, such as perception_models/configs/search.yaml")
    ],
    out: Out,
    overrides: Overrides = None,
) -> None:
    """Search hyperparameters with many short runs: table.md, search.png, best.yaml. Rerun to resume."""
    with plain_errors():
        from perception_models.training.config import check_paths
        from perception_models.training.search.config import example, read_plan
        from perception_models.training.search.run import search as run

        check_paths(example(read_plan(config, overrides or [])))
        best = run(config, out, overrides or [], typer.echo)
        typer.echo(f"{out / 'table.md'}, {out / 'search.png'}\ntrain with the best: perception-models train -c {best}")


def compare(
    config: Annotated[
        Path,
        typer.Option("--config", "-c", help="List of runs, such as compare/tasks.yaml of perception_models/configs"),
    ],
    out: Out,
    data: Annotated[
        list[Path] | None, typer.Option(help="Labelled data to evaluate on; repeatable. Default: `test` of the file")
    ] = None,
    overrides: Overrides = None,
    limit: Limit = None,
) -> None:
    """Train and evaluate the runs of a file in turn: table.md, costs.md. Rerun to resume."""
    with plain_errors():
        from perception_models.experiments.compare import compare as run
        from perception_models.experiments.compare import table

        typer.echo(table(run(config, data or [], out, overrides or [], typer.echo, limit)))
        typer.echo((out / "costs.md").read_text("utf-8"))


def compare_mining(
    pool: Annotated[list[Path], typer.Argument(help="Labelled folders to choose frames from; the first one is known")],
    test: Annotated[list[Path], typer.Option("--test", help="Labelled folder to measure on; repeatable")],
    out: Out,
    words: Annotated[
        list[str] | None, typer.Option("--set", "-s", help="Override of configs/mining.yaml, key=value; repeatable")
    ] = None,
    start: Annotated[int, typer.Option(help="Frames of the first folder that are known", min=1)] = 150,
    added: Annotated[int, typer.Option(help="Frames to add", min=1)] = 150,
    seeds: Annotated[int, typer.Option(help="Number of seeds; two trainings each", min=1)] = 3,
    first_seed: Annotated[
        int, typer.Option(help="First of the seeds; report others than those you chose the signals by")
    ] = 0,
    signals: Annotated[
        str, typer.Option(help="Comma-separated: drift (from the known frames), uncertainty, rare, det-seg")
    ] = "drift,uncertainty",
    workers: Annotated[int, typer.Option(help="Trainings at the same time", min=1)] = 1,
) -> None:
    """Train small networks on mined frames and on as many random ones: figures.json, table.md. Rerun to resume.

    perception-models compare-mining data/train data/city --test data/test --out runs/mining
    """
    with plain_errors():
        from perception_models.experiments.mining import Plan, table
        from perception_models.experiments.mining import compare_mining as run

        numbers = tuple(range(first_seed, first_seed + seeds))
        chosen_by = tuple(signals.split(","))
        plan = Plan(tuple(pool), tuple(test), start, added, seeds=numbers, signals=chosen_by, workers=workers)
        typer.echo(table(run(plan, out, words or [], typer.echo)))


def train_demo(
    overrides: Overrides = None,
    out: Out = Path("perception_models/zoo/demo"),
    run: Annotated[Path, typer.Option(help="Folder of the training run")] = Path("runs/demo"),
    data: Annotated[Path, typer.Option(help="Folder for rendered images")] = Path("data"),
    real: Annotated[
        Path, typer.Option(help="Folder of real labelled data sets; if absent, only rendered images are used")
    ] = Path("../shared/data/labelled"),
    pictures: Annotated[
        int, typer.Option(help="Number of rendered training images; city images add 43 %, side cameras 27 %")
    ] = 3000,
    workers: Annotated[int, typer.Option(help="Number of rendering processes")] = 2,
    matting: Annotated[
        Path | None, typer.Option(help="pose_landmark_full.tflite, to cut people out (docs/training.md)")
    ] = None,
) -> None:
    """Reproduce the shipped model: render, train, continue on real images, export, evaluate. Rerun to resume."""
    with plain_errors():
        from perception_models.experiments.demo.recipe import Recipe
        from perception_models.experiments.demo.train import make_demo

        counts = tuple(max(pictures * count // Recipe.counts[0], 1) for count in Recipe.counts)
        metrics = make_demo(
            Recipe(data, real, run, out, counts, workers=workers, matting=matting), overrides, typer.echo
        )
        for name, summary in metrics["datasets"].items():
            typer.echo(f"{name}: " + ", ".join(f"{k} {v:.3f}" for k, v in summary["headlines"].items()))


def loop(
    config: Annotated[Path, typer.Argument(help="Configuration, such as perception_models/configs/loop.yaml")],
    overrides: Overrides = None,
) -> None:
    """Mine, label, train, and make a new model folder if all gates pass. Run again to resume.

    Exit status 3 while it waits for people's labels, 1 when a gate refused the new model (see gates.json).
    """
    with plain_errors():
        from perception_models.experiments.loop import Waiting
        from perception_models.experiments.loop import loop as run

        model, waiting = None, ""
        try:
            model = run(config, overrides or [], typer.echo)
        except Waiting as error:
            waiting = str(error)
    if waiting:
        typer.echo(waiting)
        raise typer.Exit(3)
    if model is None:
        raise typer.Exit(1)
    typer.echo(f"{model}: load it on the vehicle with the service ~/load_model, or launch with model:={model}")


def adapt(
    data: Annotated[
        list[Path],
        typer.Option(help="Labelled images of your camera, as for train; repeatable. 20 are a start"),
    ],
    out: Out,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="Other settings than those that proved best, key=value: steps=240"),
    ] = None,
    parent: Annotated[Path, typer.Option(help="Model folder to adapt")] = Path("perception_models/zoo/demo"),
    checkpoint: Annotated[
        Path, typer.Option(help="Checkpoint from which --parent was exported", show_default="that of the shipped model")
    ] = Path("perception_models/zoo/checkpoints/demo.safetensors"),
    replay: Annotated[
        list[Path] | None,
        typer.Option(help="Labelled images of before, to mix in against forgetting, and to measure it; repeatable"),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the new model")] = "adapted",
    version: Annotated[str, typer.Option(help="Version of the new model")] = "0.1.0",
    license: Annotated[str, typer.Option(help="Licence of the new weights, by that of your images")] = "not stated",
) -> None:
    """Adapt a model to a new camera with a few labelled images, in minutes: OUT/model. Run again to resume.

    The last quarter of the images is held out. The new model is written only if nothing is worse on them than with the
    old one; otherwise exit status 1, and the old model remains the better one. OUT/report.json has the figures.

    Examples:

    perception-models adapt --data pictures/roof_camera --out models/roof

    perception-models adapt --data labels/roof --replay data/old --name roof --license MIT --out models/roof
    """
    with plain_errors():
        from perception_models.config import load_settings
        from perception_models.experiments.adapt.adapt import adapt as run
        from perception_models.experiments.adapt.adapt import open_parent
        from perception_models.experiments.adapt.settings import Settings

        settings = load_settings(Settings, None, overrides or [])
        about = {"name": name, "version": version, "license": license}
        model = run(data, out, open_parent(parent, checkpoint), settings, replay or [], about, typer.echo)
    if model is None:
        typer.echo(f"nothing better was found on the held-out images: keep using {parent}, or label more images")
        raise typer.Exit(1)
    typer.echo(f"{model}: load it on the vehicle with the service ~/load_model, or launch with model:={model}")


def adapt_study(
    config: Annotated[
        Path,
        typer.Option("--config", "-c", help="Study, such as adapt_settings.yaml of perception_models/configs/school"),
    ],
    out: Out,
    overrides: Overrides = None,
    runs: Annotated[int, typer.Option(help="Maximum adaptations to make now; 0: all that are missing", min=0)] = 0,
) -> None:
    """Adapt with few images again and again and measure on others: table.md. Rerun to resume."""
    with plain_errors():
        from perception_models.config import load_settings
        from perception_models.experiments.adapt.study import StudyConfig, study

        typer.echo(study(load_settings(StudyConfig, config, overrides), out, runs, typer.echo))


def _train(
    overrides: list[str] | None,
    config: Path | None,
    out: Path,
    resume: bool,
    data: list[Path] | None = None,
    val: list[Path] | None = None,
) -> Path:
    from perception_models.config import load_settings
    from perception_models.training.config import OWN, TrainConfig, check_paths, data_overrides

    words = [*data_overrides(data or [], val or [], config is None and bool(data)), *(overrides or [])]
    settings = load_settings(TrainConfig, OWN if config is None and data else config, words)
    check_paths(settings)  # before the seconds that the rest takes to load
    from perception_models.training.train import train as run

    return run(settings, out, resume)


def _echo_once(text: str) -> None:
    """Print in the first of several training processes only."""
    if os.environ.get("LOCAL_RANK", "0") == "0":
        typer.echo(text)


COMMANDS = (train, adapt, adapt_study, distill, label_maps, pretrain, search, compare, compare_mining, loop, train_demo)
