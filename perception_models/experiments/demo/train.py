"""The recipe of the shipped model as steps; each resumes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from perception_models.compression.adjust import adjust
from perception_models.compression.prune import labelled_batches, prune_blocks
from perception_models.config import load_settings
from perception_models.data.readers import udacity_highway
from perception_models.experiments.demo.drawn_areas import draw_areas
from perception_models.experiments.demo.real_images import complete_maps, cut_out, label_real
from perception_models.experiments.demo.recipe import LABELLED, RENDERED, Echo, Recipe
from perception_models.experiments.demo.ship import export_and_evaluate
from perception_models.network.efficientnet import package_weights
from perception_models.training.config import TrainConfig
from perception_models.training.launch import run
from perception_models.training.log import draw_curves

CONFIG = Path(__file__).parents[2] / "configs/demo.yaml"
FINE_TUNE, IMAGENET, PRUNED = (CONFIG.with_name(f"{name}.yaml") for name in ("real", "imagenet", "pruned"))
DETECTOR = "yolox_nano.onnx"  # of the teachers; its maps are named in pruned.yaml
ADJUSTED = 0.4  # strength with which rare classes of the semantic map are preferred
LOST = 0.02  # share of the variance of a block that pruning may lose


def make_demo(recipe: Recipe, overrides: list[str] | None = None, echo: Echo = print) -> dict[str, Any]:
    """Create the model folder; returns its metrics. `overrides` are key=value settings over configs/demo.yaml."""
    render(recipe, echo)
    build_highway(recipe, echo)
    config = available(load_settings(TrainConfig, CONFIG, overrides), echo)
    echo(f"training in {recipe.run}")
    best = on_imagenet(fine_tune(run(config, recipe.run), recipe, echo), recipe, echo)
    training = recipe.out / "training"
    training.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(best.parent / "log.jsonl", training / "log.jsonl")
    draw_curves(training / "log.jsonl", training / "curves.png")
    adjusted = best.with_name("adjusted.safetensors")
    adjust(best, adjusted, [recipe.data / "render/city"], ADJUSTED)
    return export_and_evaluate(adjusted, recipe, echo)


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


def fine_tune(weights: Path, recipe: Recipe, echo: Echo) -> Path:
    """Label the real images and continue from `weights` on them; returns `weights` where they are missing."""
    missing = [str(folder) for folder in (recipe.pictures, recipe.teachers) if not folder.is_dir()]
    if missing:
        echo(f"no fine-tuning on real images: {' and '.join(missing)} not on this machine; people will be missed")
        return weights
    label_real(recipe, echo)
    cut_out(recipe, echo)
    config = available(load_settings(TrainConfig, FINE_TUNE, [f"transfer.weights={weights}"]), echo)
    echo(f"fine-tuning in {recipe.run / 'real'}")
    return run(config, recipe.run / "real")


def on_imagenet(weights: Path, recipe: Recipe, echo: Echo) -> Path:
    """Neck and heads of `weights` move to a frozen backbone with ImageNet features, which is pruned and trained on.

    weights  also teach what real images have no labels for; returned where real images or those features are missing
    """
    if not (recipe.data / "real").is_dir():
        return weights
    try:
        package_weights()
    except ModuleNotFoundError as error:
        echo(f"no ImageNet backbone: {error}")
        return weights
    complete_maps(recipe, [weights], echo)
    draw_areas(recipe, echo)
    taught = [f"transfer.weights={weights}", f"distill.teacher={weights}"]
    config = available(load_settings(TrainConfig, IMAGENET, taught), echo)
    echo(f"training on ImageNet features in {recipe.run / 'imagenet'}")
    return pruned(run(config, recipe.run / "imagenet"), recipe, echo)


def pruned(full: Path, recipe: Recipe, echo: Echo) -> Path:
    """The network of checkpoint `full`, pruned and trained on with its backbone frozen."""
    echo(f"pruning in {recipe.run / 'pruned'}")
    folders = [*(recipe.data / "real" / name for name in LABELLED), recipe.data / "render/train"]
    batches = labelled_batches(full, folders, 240, 8)
    thin = prune_blocks(full, recipe.run / "pruned", [batch["images"] for batch in batches], LOST)
    words = [f"transfer.weights={thin.checkpoint}", f"imitate.network={recipe.teachers / DETECTOR}"]
    config = load_settings(TrainConfig, PRUNED, [*words, f"network.expanded={thin.network.expanded}"])
    echo(f"training the pruned network in {recipe.run / 'shipped'}")
    return run(available(config, echo), recipe.run / "shipped")


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
