"""Recipe of the shipped model: render, train, export, evaluate. Every step resumes where it stopped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from perception_models.config import load_settings
from perception_models.data.readers import udacity_highway
from perception_models.evaluation import evaluate
from perception_models.export.export import ExportConfig, export
from perception_models.training.config import TrainConfig
from perception_models.training.launch import run
from perception_models.training.log import draw_curves

Echo = Callable[[str], None]

CONFIG = Path(__file__).parents[1] / "configs/demo.yaml"
DESCRIPTION = "multi-task driving perception trained on rendered images and permissively licensed real ones"
VERSION = "0.5.0"
TRAINED_ON = "udacity_highway_960"  # source of data/highway
# Rendered folders: arguments of `make_dataset`. Each has its own seed. Cities hold most of the rare classes; side and
# rear cameras show objects from angles that front cameras do not.
RENDERED: dict[str, dict[str, Any]] = {
    "train": {"seed": 1},
    "city": {"seed": 2, "kind": "city"},
    "around": {"seed": 4, "around": True},
    "val": {"seed": 30_001},
    "test": {"seed": 90_001},
}


@dataclass(frozen=True)
class Recipe:
    """Folders, and number of images to render.

    data     folder for rendered and derived data sets
    real     folder of real labelled data sets; if absent, only rendered images are used
    run      folder of the training run
    out      model folder
    counts   images per rendered folder, in the order of RENDERED
    size     (width, height) of rendered images
    workers  rendering processes
    limit    maximum images per data set in the evaluation
    """

    data: Path = Path("data")
    real: Path = Path("../shared/data/labelled")
    run: Path = Path("runs/demo")
    out: Path = Path("perception_models/zoo/demo")
    counts: tuple[int, ...] = (3000, 1300, 800, 150, 300)
    size: tuple[int, int] = (640, 384)
    workers: int = 2
    limit: int | None = None


def make_demo(recipe: Recipe, overrides: list[str] | None = None, echo: Echo = print) -> dict[str, Any]:
    """Create the model folder; returns its metrics. `overrides` are key=value settings over configs/demo.yaml."""
    render(recipe, echo)
    build_highway(recipe, echo)
    config = available(load_settings(TrainConfig, CONFIG, overrides), echo)
    echo(f"training in {recipe.run}")
    best = run(config, recipe.run)
    training = recipe.out / "training"
    training.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(recipe.run / "log.jsonl", training / "log.jsonl")
    draw_curves(training / "log.jsonl", training / "curves.png")
    return export_and_evaluate(best, recipe, echo)


def render(recipe: Recipe, echo: Echo) -> None:
    """Render the missing images of every folder; the same recipe always gives the same images."""
    from driving_scenes.output.dataset import make_dataset

    for (name, options), count in zip(RENDERED.items(), recipe.counts):
        echo(f"rendering {recipe.data / 'render' / name}")
        make_dataset(recipe.data / "render" / name, count, size=recipe.size, workers=recipe.workers, **options)


def build_highway(recipe: Recipe, echo: Echo) -> None:
    """Combine real highway frames with the boxes and areas drawn for this project."""
    source = recipe.real / "udacity_highway_960"
    if source.is_dir():
        echo(f"{udacity_highway.build(source, recipe.data / 'highway')} images in {recipe.data / 'highway'}")


def available(config: TrainConfig, echo: Echo) -> TrainConfig:
    """The configuration without data sets that are missing on this machine; reports which."""
    data = config.data
    train, val = ([each for each in entries if Path(each["path"]).exists()] for entries in (data.train, data.val))
    lights = data.lights if data.lights and Path(data.lights).exists() else None
    missing = {each["path"] for each in (*data.train, *data.val) if each not in (*train, *val)}
    missing |= {data.lights} if data.lights and not lights else set()
    if missing:
        echo(f"training without data sets that are not on this machine: {', '.join(sorted(missing))}")
    return replace(config, data=replace(data, train=train, val=val, lights=lights))


def export_and_evaluate(best: Path, recipe: Recipe, echo: Echo) -> dict[str, Any]:
    """Export, evaluate on rendered test images and on real data, and export again with the metrics in the card."""
    echo(f"exporting {best} to {recipe.out}")
    config = ExportConfig(
        name="demo",
        version=VERSION,
        license="Apache-2.0",
        description=DESCRIPTION,
        images=str(recipe.data / "render/test/images"),
    )
    export(best, recipe.out, config)
    sets = [recipe.data / "render/test", *([recipe.real] if recipe.real.is_dir() else [])]
    report = recipe.run / "evaluation"
    metrics = evaluate(recipe.out, sets, report, limit=recipe.limit)
    shutil.copyfile(report / "metrics.json", recipe.out / "metrics.json")
    headlines = dict(card_row(name, summary) for name, summary in metrics["datasets"].items())
    path = recipe.run / "headlines.json"
    path.write_text(json.dumps(headlines, indent=1), "utf-8")
    for line in export(best, recipe.out, replace(config, metrics=str(path))):
        echo(line)
    echo(f"report: {report / 'report.html'}")
    return metrics


def card_row(name: str, summary: dict[str, Any]) -> tuple[str, dict[str, float]]:
    """Name and headlines for the model card: of crops only the held-out fold; data used in training is marked."""
    held_out = summary.get("slices", {}).get("fold", {}).get("values", {}).get("val")
    if held_out:
        return f"{name}, held-out fold", {key: value for key, value in held_out.items() if key != "images"}
    return f"{name} (trained on)" if name == TRAINED_ON else name, summary["headlines"]
