"""perception-models variants: the precisions that go to vehicles, beside the model and with what each of them loses."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from camera_perception.core.errors import ModelError
from camera_perception.core.model_spec import ModelSpec, load_spec
from camera_perception.engines.build.gates import MAX_POINTS_LOST
from perception_models.compression.compare_precisions import MODEL_FILES, Loss, measured
from perception_models.compression.quantize import quantize, store_points_lost

SHIPPED = ("fp16", "int8")  # fp8 runs on Ada, Hopper, Thor and newer only: made where it is wanted
REPORT = "metrics.json"


@dataclass(frozen=True)
class Recipe:
    """What a variant is made of; the same recipe and model give the same variant.

    calibration  recording, video or folder of images
    data         labelled folders to measure on
    count        maximum calibration images, evenly spaced
    limit        maximum images per labelled data set, evenly spaced
    """

    calibration: Path
    data: tuple[Path, ...]
    count: int = 200
    limit: int = 200

    def text(self) -> dict[str, Any]:
        """As kept in metrics.json; folders by their name, as they lie elsewhere on every machine."""
        names = [path.resolve().name for path in self.data]
        calibration = "/".join(self.calibration.resolve().parts[-2:])
        return {"calibration": calibration, "calibration_images": self.count, "data": names, "limit": self.limit}


@dataclass(frozen=True)
class Variant:
    """One variant in the model's folder.

    lost   metric: points of 100 on the data set where it loses most
    fresh  False when it was there already, made of the same model by the same recipe
    """

    folder: Path
    lost: dict[str, float]
    fresh: bool


def write_variants(
    folder: Path,
    recipe: Recipe,
    precisions: Sequence[str] = SHIPPED,
    most_lost: float | None = None,
    force: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> list[Variant]:
    """Write FOLDER/PRECISION with model, reference and metrics.json; ModelError when one loses too much: it stays out.

    most_lost  points of 100 a metric may lose on any data set; default 0.2 for fp16, 1 for int8
    force      make those again that are up to date
    report     called with a line per step
    """
    spec = load_spec(folder)
    if spec.precision != "fp32":
        raise ModelError(f"{folder} is {spec.precision} already: give the fp32 model it was made from")
    old = {precision: None if force else up_to_date(folder / precision, spec, recipe) for precision in precisions}
    wanted = [precision for precision, lost in old.items() if lost is None]
    for precision in precisions:
        if precision not in wanted:
            report(f"{precision}: up to date")
    fresh = _made(spec, recipe, wanted, most_lost, report) if wanted else {}
    return [Variant(folder / each, fresh.get(each, old[each] or {}), each in fresh) for each in precisions]


def up_to_date(folder: Path, spec: ModelSpec, recipe: Recipe) -> dict[str, float] | None:
    """What a variant of this model by this recipe loses; None when there is no such variant."""
    try:
        found = json.loads((folder / REPORT).read_text("utf-8"))
        same = (found["quantized_from"], found["recipe"]) == (spec.onnx_sha256, recipe.text())
        return dict(found["points_lost"]) if same and load_spec(folder) else None
    except (OSError, ValueError, KeyError, ModelError):
        return None


def _made(
    spec: ModelSpec,
    recipe: Recipe,
    precisions: Sequence[str],
    most_lost: float | None,
    report: Callable[[str], None],
) -> dict[str, dict[str, float]]:
    """Precision: points lost. Made and measured in a copy; only what passes replaces the variants of the folder."""
    with tempfile.TemporaryDirectory(dir=spec.folder, prefix=".variants-") as work:
        copy = Path(work)
        for name in MODEL_FILES:
            shutil.copy(spec.folder / name, copy / name)
        specs = {"fp32": load_spec(copy)}
        for precision in precisions:
            report(f"{precision}: quantising")
            calibration = None if precision == "fp16" else recipe.calibration
            specs[precision] = load_spec(quantize(copy, precision, calibration, count=recipe.count).folder)
        report(f"measuring fp32, {', '.join(precisions)} on {len(recipe.data)} data sets")
        losses = measured(specs, recipe.data, recipe.limit)
        lost = {precision: worst(losses, precision) for precision in precisions}
        for precision in precisions:
            _check(precision, lost[precision], MAX_POINTS_LOST[precision] if most_lost is None else most_lost)
        for precision in precisions:
            part = copy / precision
            _write_report(part, spec, precision, recipe, losses, lost[precision])
            shutil.rmtree(spec.folder / precision, ignore_errors=True)
            part.replace(spec.folder / precision)
        return lost


def worst(losses: Sequence[Loss], precision: str) -> dict[str, float]:
    """Metric: points lost on the data set where it loses most."""
    found: dict[str, float] = {}
    for loss in losses:
        found[loss.metric] = max(loss.lost[precision], found.get(loss.metric, loss.lost[precision]))
    return found


def _check(precision: str, lost: dict[str, float], most: float) -> None:
    if bad := [f"{metric} {points:.2f}" for metric, points in lost.items() if points > most]:
        raise ModelError(
            f"the {precision} variant loses more than {most:g} points in: {', '.join(bad)}. Nothing was changed; give "
            "calibration images that are more like the data, or accept the loss with --most-lost"
        )


def _write_report(
    part: Path, spec: ModelSpec, precision: str, recipe: Recipe, losses: Sequence[Loss], lost: dict[str, float]
) -> None:
    """metrics.json beside the variant, and its loss in model.json."""
    store_points_lost(part, lost)
    datasets: dict[str, Any] = {}
    for loss in losses:
        entry = datasets.setdefault(loss.data, {"images": loss.images, "fp32": {}, "points_lost": {}})
        entry["fp32"][loss.metric] = round(loss.value, 5)
        entry["points_lost"][loss.metric] = loss.lost[precision]
    found = {
        "model": spec.name,
        "version": spec.version,
        "precision": precision,
        "quantized_from": spec.onnx_sha256,
        "engine": "onnxruntime, CPU",
        "bytes": (part / "model.onnx").stat().st_size,
        "recipe": recipe.text(),
        "points_lost": lost,
        "datasets": datasets,
    }
    (part / REPORT).write_text(json.dumps(found, indent=1) + "\n", "utf-8")
