"""Recipe of the shipped model: render, train, fine-tune on real images, change the backbone, export, evaluate.

Every step resumes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from perception_models.compression.prune import labelled_batches, prune_blocks
from perception_models.config import load_settings
from perception_models.data.readers import udacity_highway
from perception_models.evaluation import evaluate
from perception_models.evaluation.real.rows import MODEL
from perception_models.evaluation.real.run import realbench
from perception_models.experiments.failures import failures
from perception_models.export.export import ExportConfig, export
from perception_models.network.efficientnet import package_weights
from perception_models.training.config import TrainConfig
from perception_models.training.launch import run
from perception_models.training.log import draw_curves

Echo = Callable[[str], None]

CONFIG = Path(__file__).parents[1] / "configs/demo.yaml"
FINE_TUNE, IMAGENET, PRUNED = (CONFIG.with_name(f"{name}.yaml") for name in ("real", "imagenet", "pruned"))
LOST = 0.02  # share of the variance of a block that pruning may lose
DESCRIPTION = (
    "multi-task driving perception on ImageNet features (EfficientNet-Lite0, Apache-2.0), trained on rendered images"
    " and permissively licensed real ones"
)
VERSION = "0.9.0"
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
# Real images to label: folder below `Recipe.pictures`, horizontal stretch, whether their roads are labelled as well.
LABELLED: dict[str, tuple[str, float, bool]] = {
    "coco": ("coco_cc_by", 1.0, False),
    "openimages": ("vehicles_openimages_ccby", 4 / 3, True),
    "driveai": ("driveai_sample", 1.0, True),
}


@dataclass(frozen=True)
class Recipe:
    """Folders, and number of images to render.

    data      folder for rendered and derived data sets
    real      folder of real labelled data sets; if absent, only rendered images are used
    run       folder of the training run
    out       model folder
    counts    images per rendered folder, in the order of RENDERED
    size      (width, height) of rendered images
    workers   rendering processes
    limit     maximum images per data set in the evaluation
    pictures  folder of real images for the fine-tuning; without it or `teachers` there is none
    teachers  folder of the public detectors that label them
    matting   pose_landmark_full.tflite of MediaPipe, to cut people out; None: GrabCut
    """

    data: Path = Path("data")
    real: Path = Path("../shared/data/labelled")
    run: Path = Path("runs/demo")
    out: Path = Path("perception_models/zoo/demo")
    counts: tuple[int, ...] = (3000, 1300, 800, 150, 300)
    size: tuple[int, int] = (640, 384)
    workers: int = 2
    limit: int | None = None
    pictures: Path = Path("../shared/data/pictures")
    teachers: Path = Path("../shared/data/teachers")
    matting: Path | None = None


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
    taught = [f"transfer.weights={weights}", f"distill.teacher={weights}"]
    config = available(load_settings(TrainConfig, IMAGENET, taught), echo)
    echo(f"training on ImageNet features in {recipe.run / 'imagenet'}")
    full = run(config, recipe.run / "imagenet")
    echo(f"pruning in {recipe.run / 'pruned'}")
    folders = [*(recipe.data / "real" / name for name in LABELLED), recipe.data / "render/train"]
    batches = labelled_batches(full, folders, 240, 8)
    thin = prune_blocks(full, recipe.run / "pruned", [batch["images"] for batch in batches], LOST)
    words = [f"transfer.weights={thin.checkpoint}", f"distill.teacher={weights}"]
    config = load_settings(TrainConfig, PRUNED, [*words, f"network.expanded={thin.network.expanded}"])
    echo(f"training the pruned network in {recipe.run / 'shipped'}")
    return run(available(config, echo), recipe.run / "shipped")


def label_real(recipe: Recipe, echo: Echo) -> None:
    """Label real images with public detectors, and collect the credits of their authors in the model folder."""
    from perception_models.data.curation.label import LabelConfig, label
    from perception_models.data.curation.road import DrivableNetwork, RoadTeacher
    from perception_models.data.curation.teachers import load_teachers

    teachers = load_teachers(recipe.teachers)
    second = DrivableNetwork(recipe.out) if (recipe.out / "model.json").is_file() else None  # of the last training
    for name, (source, widen, road) in LABELLED.items():
        echo(f"labelling {recipe.data / 'real' / name}")
        lanes = RoadTeacher(recipe.teachers / "road-segmentation-adas-0001.xml", second) if road else None
        label(recipe.pictures / source, recipe.data / "real" / name, teachers, LabelConfig(widen=widen), lanes)
    write_credits(recipe)


def cut_out(recipe: Recipe, echo: Echo) -> None:
    """Cut people and vehicles out of the labelled images, to be pasted into others."""
    from perception_models.data.curation.cutouts.cut import CutConfig, cut_all
    from perception_models.data.curation.cutouts.matting import PersonMatting

    network = PersonMatting(recipe.matting) if recipe.matting else None
    if network is None:
        echo(
            "cutting people out with GrabCut; with matting=pose_landmark_full.tflite there are more (docs/training.md)"
        )
    folders = [recipe.data / "real" / name for name in LABELLED]
    polygons = recipe.pictures / LABELLED["coco"][0]
    found, _ = cut_all(folders, recipe.data / "cutouts", CutConfig(polygons=polygons, matting=network))
    echo(f"{len(found)} cut-outs in {recipe.data / 'cutouts'}")


def write_credits(recipe: Recipe) -> None:
    """One CREDITS.csv for all real images that the model learned from."""
    files = [recipe.data / "real" / name / "CREDITS.csv" for name in LABELLED]
    rows = [line for path in files for line in path.read_text("utf-8").splitlines()[1:]]
    recipe.out.mkdir(parents=True, exist_ok=True)
    head = files[0].read_text("utf-8").splitlines()[0]
    (recipe.out / "CREDITS.csv").write_text("\n".join([head, *rows]) + "\n", "utf-8")


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
    calibrate(recipe)
    sets = [recipe.data / "render/test", *([recipe.real] if recipe.real.is_dir() else [])]
    report = recipe.run / "evaluation"
    metrics = evaluate(recipe.out, sets, report, limit=recipe.limit)
    shutil.copyfile(report / "metrics.json", recipe.out / "metrics.json")
    headlines = real_metrics(recipe) | dict(card_row(name, each) for name, each in metrics["datasets"].items())
    path = recipe.run / "headlines.json"
    path.write_text(json.dumps(headlines, indent=1), "utf-8")
    for line in export(best, recipe.out, replace(config, metrics=str(path))):
        echo(line)
    calibrate(recipe)
    show_failures(recipe, echo)
    echo(f"report: {report / 'report.html'}")
    return metrics


def calibrate(recipe: Recipe) -> None:
    """Calibrate scores and thresholds on real images held out of training; without them nothing changes."""
    from perception_models.evaluation.real.calibrate import calibrate_scores

    real, rendered = recipe.data / "real", recipe.data / "render/val"
    if all((real / name).is_dir() for name in LABELLED):
        sources = [f"{real / 'coco'}:*7.jpg", f"{real / 'openimages'}:*f.jpg", str(real / "driveai")]
        calibrate_scores(recipe.out, sources, [str(rendered)], [str(real / "driveai")], limit=recipe.limit)


def show_failures(recipe: Recipe, echo: Echo) -> None:
    """Put the worst real pictures into the card, with heads and plates covered."""
    if recipe.pictures.is_dir() and recipe.teachers.is_dir():
        failures(recipe.out, recipe.pictures.parent, recipe.teachers)
        echo(f"look at {recipe.out / 'failures'} before you publish it: covering misses some heads")


def real_metrics(recipe: Recipe) -> dict[str, dict[str, float]]:
    """{set: {measure: value}} of the model on real images, for the card; empty without them."""
    if not (recipe.real.is_dir() and recipe.teachers.is_dir()):
        return {}
    rows = realbench(recipe.out, recipe.real.parent, recipe.run / "realbench", recipe.teachers).rows
    values: dict[str, dict[str, float]] = {}
    for row in rows:
        if MODEL in row.values:
            values.setdefault(row.set, {})[f"{row.measure} ({row.count})"] = row.values[MODEL]
    return values


def card_row(name: str, summary: dict[str, Any]) -> tuple[str, dict[str, float]]:
    """Name and headlines for the model card: of crops only the held-out fold; data used in training is marked."""
    held_out = summary.get("slices", {}).get("fold", {}).get("values", {}).get("val")
    if held_out:
        return f"{name}, held-out fold", {key: value for key, value in held_out.items() if key != "images"}
    return f"{name} (trained on)" if name == TRAINED_ON else name, summary["headlines"]
