"""How the shipped model is made: pictures, training, model folder, figures. Every step continues where it stopped."""

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

CONFIG = Path(__file__).parents[1] / "configs/demo.yaml"
DESCRIPTION = "multi-task driving perception trained on rendered pictures and permissively licensed real ones"
VERSION = "0.5.0"
TRAINED_ON = "udacity_highway_960"  # data/highway is made of it
# Rendered folders: what `make_dataset` is told. No other has the seed; streets hold most of the rare classes, and
# side and rear cameras of rigs see what no front camera does.
RENDERED: dict[str, dict[str, Any]] = {
    "train": {"seed": 1},
    "city": {"seed": 2, "kind": "city"},
    "around": {"seed": 4, "around": True},
    "val": {"seed": 30_001},
    "test": {"seed": 90_001},
}


@dataclass(frozen=True)
class Recipe:
    """Where things are and how many pictures to render.

    data    folder for what is rendered and built
    real    folder of the real labelled sets; without it rendered pictures have to do
    run     folder of the training
    out     the model folder
    counts  pictures of each rendered folder
    limit   measure on at most so many images of each set
    """

    data: Path = Path("data")
    real: Path = Path("../shared/data/labelled")
    run: Path = Path("runs/demo")
    out: Path = Path("perception_models/zoo/demo")
    counts: tuple[int, ...] = (3000, 1300, 800, 150, 300)
    size: tuple[int, int] = (640, 384)
    workers: int = 2
    limit: int | None = None


def make_demo(recipe: Recipe, overrides: list[str] | None = None, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Make the model folder; its metrics. `overrides` are key=value words over configs/demo.yaml."""
    render(recipe, say)
    build_highway(recipe, say)
    config = present(load_settings(TrainConfig, CONFIG, overrides), say)
    say(f"training in {recipe.run}")
    best = run(config, recipe.run)
    figures = recipe.out / "training"
    figures.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(recipe.run / "log.jsonl", figures / "log.jsonl")
    draw_curves(figures / "log.jsonl", figures / "curves.png")
    return measured(best, recipe, say)


def render(recipe: Recipe, say: Callable[[str], None]) -> None:
    """Rendered pictures, always the same; those that are there are kept."""
    from driving_scenes.output.dataset import make_dataset

    for (name, what), count in zip(RENDERED.items(), recipe.counts):
        say(f"rendering {recipe.data / 'render' / name}")
        make_dataset(recipe.data / "render" / name, count, size=recipe.size, workers=recipe.workers, **what)


def build_highway(recipe: Recipe, say: Callable[[str], None]) -> None:
    """Real highway frames with the boxes and areas that were drawn for this project."""
    source = recipe.real / "udacity_highway_960"
    if source.is_dir():
        say(f"{udacity_highway.build(source, recipe.data / 'highway')} images in {recipe.data / 'highway'}")


def present(config: TrainConfig, say: Callable[[str], None]) -> TrainConfig:
    """The configuration without the data sets that are not on this machine; says which are missing."""
    data = config.data
    kept = {name: [entry for entry in getattr(data, name) if Path(entry["path"]).exists()] for name in ("train", "val")}
    lost = [e["path"] for name in kept for e in getattr(data, name) if e not in kept[name]]
    lights = data.lights if data.lights and Path(data.lights).exists() else None
    lost += [data.lights] if data.lights and not lights else []
    if lost:
        say(f"not here, so trained without them, on rendered pictures alone: {', '.join(sorted(set(lost)))}")
    return replace(config, data=replace(data, **kept, lights=lights))


def measured(best: Path, recipe: Recipe, say: Callable[[str], None]) -> dict[str, Any]:
    """Export, evaluate on rendered test pictures and on real sets, and export again with the figures in the card."""
    say(f"exporting {best} to {recipe.out}")
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
    headlines = dict(honest(name, figures) for name, figures in metrics["datasets"].items())
    short = recipe.run / "headlines.json"
    short.write_text(json.dumps(headlines, indent=1), "utf-8")
    for line in export(best, recipe.out, replace(config, metrics=str(short))):
        say(line)
    say(f"report: {report / 'report.html'}")
    return metrics


def honest(name: str, figures: dict[str, Any]) -> tuple[str, dict[str, float]]:
    """Name and headlines for the card: of crops only those of the held-out fold; says so of what was trained on."""
    held_out = figures.get("slices", {}).get("fold", {}).get("values", {}).get("val")
    if held_out:
        return f"{name}, held-out fold", {key: value for key, value in held_out.items() if key != "images"}
    return f"{name} (trained on)" if name == TRAINED_ON else name, figures["headlines"]
