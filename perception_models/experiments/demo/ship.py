"""From the best checkpoint to the shipped model folder: export, evaluation, calibration, card and failures."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from perception_models.evaluation import evaluate
from perception_models.evaluation.real.rows import MODEL
from perception_models.evaluation.real.run import realbench
from perception_models.experiments.demo.recipe import LABELLED, Echo, Recipe
from perception_models.experiments.failures import failures
from perception_models.export.export import ExportConfig, export
from perception_models.export.other_sizes import export_sizes

DESCRIPTION = (
    "multi-task driving perception on ImageNet features (EfficientNet-Lite0, Apache-2.0), trained on rendered images"
    " and permissively licensed real ones"
)
VERSION = "1.1.0"
OTHER_SIZES = ("544x416",)  # for cameras of 4:3, in the time of 640x352
TRAINED_ON = "udacity_highway_960"  # source of data/highway


def export_and_evaluate(best: Path, recipe: Recipe, echo: Echo) -> dict[str, Any]:
    """Export, evaluate on rendered test images and on real data, and export again with the metrics in the card."""
    echo(f"exporting {best} to {recipe.out}")
    config = ExportConfig(
        name="demo",
        version=VERSION,
        license="Apache-2.0",
        description=DESCRIPTION,
        images=str(recipe.data / "render/val/images"),
        on_road=True,
        references=4,  # in three the lines have 148 points: three of them would decide about fp16
    )
    _export(best, recipe, config)
    sets = [recipe.data / "render/test", *([recipe.real] if recipe.real.is_dir() else [])]
    report = recipe.run / "evaluation"
    metrics = evaluate(recipe.out, sets, report, limit=recipe.limit)
    shutil.copyfile(report / "metrics.json", recipe.out / "metrics.json")
    headlines = real_metrics(recipe) | dict(card_row(name, each) for name, each in metrics["datasets"].items())
    path = recipe.run / "headlines.json"
    path.write_text(json.dumps(headlines, indent=1), "utf-8")
    for line in _export(best, recipe, replace(config, metrics=str(path))):
        echo(line)
    show_failures(recipe, echo)
    echo(f"report: {report / 'report.html'}")
    return metrics


def _export(best: Path, recipe: Recipe, config: ExportConfig) -> list[str]:
    """Write the model folder with its other input sizes, calibrated; one line per size and backend."""
    lines = export(best, recipe.out, config) + export_sizes(best, recipe.out, OTHER_SIZES)
    calibrate(recipe)
    return lines


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
