"""perception-models calibrate-scores: scores that mean precisions, and thresholds per class, on validation pictures.

Objects: one slope and offset per class (Platt), pulled towards those of all classes where a class has few labels; then
the threshold with the best F1, of signs F3: a false one does less harm than a missed one. Real pictures decide where
they have enough labels of a class, else rendered ones help.
Scene: each label gets the score above which rendered pictures are mostly right and real dry pictures are hardly ever
called rainy, snowy or foggy. CamVid and PandaSet must not be among the pictures: they only measure.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from camera_perception.core.model_spec import ModelSpec, read_json, spec_from_json
from camera_perception.core.types import SceneAttribute
from perception_models.data.files import DataError
from perception_models.data.labels import OBJECTS, SCENE
from perception_models.data.readers.folder import LabelledFolder
from perception_models.evaluation.metrics import objects
from perception_models.evaluation.metrics.average_precision import CocoMatches, ObjectRecord
from perception_models.evaluation.metrics.scores import calibration_error
from perception_models.evaluation.model import Predictor, open_model
from perception_models.evaluation.real.score_fit import (
    IDENTITY,
    Evidence,
    best_threshold,
    platt,
    published,
    score_of_precision,
    score_that_allows,
)
from perception_models.evaluation.records import evenly_spaced
from perception_models.export.other_sizes import copy_settings

LOWEST = 0.03  # network score: below, only precision-recall curves look
ENOUGH = 30  # real labels of a class, above which rendered pictures are not asked
STRENGTH, CLASS_STRENGTH = 0.01, 20.0  # of the priors of all classes and of one class
THRESHOLDS = 0.15, 0.5  # lowest and highest of a class
RECALL_FIRST = {"traffic sign": (3.0, 0.08)}  # other beta of F-beta and lowest threshold
FEWEST = 10  # labels of a class that gets its own threshold
PRECISION = 0.65  # of a scene label on rendered pictures: clear, partly cloudy and overcast are neighbours
DRY_FALSE = 0.01  # fraction of dry pictures that may be called each of NOT_DRY
MARGIN = 4.0  # on the odds of the score that DRY_FALSE gives: other cameras give other scores
SURE = 0.9999  # highest threshold of a scene label
NOT_DRY = {"rainy", "snowy", "foggy"}
# Pictures of coco_cc_by (*7.jpg) and vehicles_openimages_ccby (*f.jpg) with snow, rain or a wet road, looked at.
NOT_DRY_PICTURES = {
    "000000252507.jpg", "000000289417.jpg", "000000329827.jpg", "000000343937.jpg", "000000423617.jpg",
    "000000516677.jpg", "1c64bff45216007f.jpg", "8d96556cdec8743f.jpg", "a7d33981079f545f.jpg",
    "ddd9751b7335badf.jpg", "fcbbda4f0678bfcf.jpg",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One class: labels it was fitted to, calibration, threshold, and the calibration error before and after.

    error_after  cross-validated: each half of the pictures is scored by the fit to the other half
    """

    name: str
    labelled: int
    pair: tuple[float, float]
    threshold: float
    error_before: float | None
    error_after: float | None
    precision: float | None
    recall: float | None


@dataclass
class Seen:
    """What a model reports on one kind of pictures.

    scenes  per picture: reported attributes, labels by attribute, whether it is known to be dry
    """

    records: list[ObjectRecord] = field(default_factory=list)
    scenes: list[tuple[tuple[SceneAttribute, ...], dict[str, int], bool]] = field(default_factory=list)


@dataclass(frozen=True)
class Calibration:
    """The rows of all classes, minimum scores by attribute and label, and the pictures they were chosen on."""

    rows: list[Row]
    scene: dict[str, dict[str, float]]
    scene_kept: dict[str, tuple[float, float]]
    sources: dict[str, int]


def calibrate_scores(
    model: Path,
    real: Sequence[str],
    rendered: Sequence[str] = (),
    dry: Sequence[str] = (),
    out: Path | None = None,
    limit: int | None = None,
    engine: str = "onnxruntime",
) -> Calibration:
    """Choose calibration and thresholds and write them into model.json.

    real      labelled folders of real pictures for the objects, as FOLDER or FOLDER:PATTERN
    rendered  the same of rendered pictures, with labels of the scene
    dry       folders of real pictures without rain, snow or fog; those in NOT_DRY_PICTURES are left out
    out       folder for a changed copy of the model; default: the model folder is changed
    """
    if not real:
        raise DataError("calibrate-scores needs labelled real pictures: give --real FOLDER:PATTERN")
    sources: dict[str, int] = {}
    with open_model(model, engine) as opened:
        opened.spec = uncalibrated(opened.spec)
        parts = {
            kind: _look(opened, texts, limit, kind, sources)
            for kind, texts in (("real", real), ("rendered", rendered), ("dry", dry))
        }
        rows = fit_classes(parts["real"].records, parts["rendered"].records, opened.spec)
        scene, kept = fit_scene(
            parts["rendered"], [*parts["dry"].scenes, *parts["real"].scenes], opened.threshold("scene")
        )
    found = Calibration(rows, scene, kept, sources)
    write_calibration(model, found, out or model)
    return found


def uncalibrated(spec: ModelSpec) -> ModelSpec:
    """The spec with network scores and one threshold per head."""
    drop = ("calibration", "thresholds")
    heads = [replace(head, options={k: v for k, v in head.options.items() if k not in drop}) for head in spec.heads]
    return replace(spec, heads=tuple(heads))


def _look(model: Predictor, texts: Sequence[str], limit: int | None, kind: str, sources: dict[str, int]) -> Seen:
    seen = Seen()
    for text in texts:
        samples = folder_of(text)
        for sample in evenly_spaced(samples, limit, progress=f"{kind}: {text}"):
            observations = model(sample.image)
            is_dry = kind != "rendered" and sample.name not in NOT_DRY_PICTURES
            seen.scenes.append((observations.scene, sample.scene, is_dry))
            if sample.boxes is not None and kind != "dry":
                seen.records.append(
                    objects.record(observations.detections, sample.boxes, model.spec.classes, sample.known_classes)
                )
        sources[text] = len(samples) if limit is None else min(limit, len(samples))
    return seen


def folder_of(text: str) -> LabelledFolder:
    """The labelled folder of FOLDER or FOLDER:PATTERN, where the pattern chooses pictures by name."""
    folder, _, pattern = text.partition(":")
    return LabelledFolder(folder, include=(pattern,) if pattern else ())


def fit_classes(real: list[ObjectRecord], rendered: list[ObjectRecord], spec: ModelSpec) -> list[Row]:
    """One row per class of the model that has a label."""
    by_fold, help_by_fold = ([evidence_of(records[fold::2]) for fold in (0, 1)] for records in (real, rendered))
    head = spec.head("objects")
    default = head.threshold if head else 0.4
    rows = []
    for name in spec.classes:
        halves = [with_help(fold.get(name), more.get(name)) for fold, more in zip(by_fold, help_by_fold)]
        if sum(half.labelled for half in halves):
            rows.append(_row(name, halves, by_fold, default))
    return rows


def evidence_of(records: list[ObjectRecord]) -> dict[str, Evidence]:
    """Findings from LOWEST by class, those on ignored labels left out."""
    if not records:
        return {}
    matches = CocoMatches(records, {i: i for i in range(len(OBJECTS))}, brief=True)
    out = {}
    for number, name in enumerate(OBJECTS):
        curve = matches.curve(number)
        scores, correct = curve.counted
        kept = scores >= LOWEST
        out[name] = Evidence(scores[kept], correct[kept], curve.labelled)
    return out


def with_help(real: Evidence | None, rendered: Evidence | None) -> Evidence:
    """Half of the real evidence of a class, joined by the rendered one where there is little."""
    parts = [part for part in (real, rendered) if part is not None]
    return parts[0] if real is not None and real.labelled >= ENOUGH / 2 else Evidence.joined(parts)


def _row(name: str, halves: list[Evidence], by_fold: list[dict[str, Evidence]], default: float) -> Row:
    """The fit to all pictures, and its error on each half when fitted to the other."""
    every = Evidence.joined(halves)
    pairs = [platt(half, pooled(fold), CLASS_STRENGTH) for half, fold in zip(halves, by_fold)]
    joined = {key: Evidence.joined([fold[key] for fold in by_fold if key in fold]) for key in OBJECTS}
    pair = platt(every, pooled(joined), CLASS_STRENGTH)
    crossed = np.concatenate([published(half.scores, other) for half, other in zip(halves, pairs[::-1])])
    scores = published(every.scores, pair)
    beta, least = RECALL_FIRST.get(name, (1.0, THRESHOLDS[0]))
    enough = every.labelled >= FEWEST
    own = best_threshold(scores, every.correct, every.labelled, least, THRESHOLDS[1], beta) if enough else default
    kept = scores >= own
    return Row(
        name,
        every.labelled,
        pair,
        own,
        calibration_error(every.scores, every.correct),
        calibration_error(crossed, every.correct),
        float(every.correct[kept].mean()) if kept.any() else None,
        float(every.correct[kept].sum() / max(every.labelled, 1)),
    )


def pooled(by_class: dict[str, Evidence]) -> tuple[float, float]:
    """Slope and offset of all classes together."""
    return platt(Evidence.joined(list(by_class.values())), IDENTITY, STRENGTH)


Scenes = Sequence[tuple[tuple[SceneAttribute, ...], dict[str, int], bool]]


def fit_scene(
    rendered: Seen, real: Scenes, lowest: float
) -> tuple[dict[str, dict[str, float]], dict[str, tuple[float, float]]]:
    """Minimum score by attribute and label; per attribute the accuracy and fraction of what rendered pictures keep."""
    thresholds: dict[str, dict[str, float]] = {}
    kept: dict[str, tuple[float, float]] = {}
    dry = [seen for seen, _, is_dry in real if is_dry]
    for name, labels in SCENE.items():
        found = [
            (a, labels[truth[name]])
            for seen, truth, _ in rendered.scenes
            for a in seen
            if a.name == name and truth.get(name, -1) >= 0
        ]
        wrong = [a for seen in dry for a in seen if a.name == "weather" == name and a.label in NOT_DRY]
        rows = {label: _label_threshold(label, found, wrong, len(dry), lowest) for label in labels}
        thresholds[name] = {label: round(value, 5) for label, value in rows.items() if value > lowest}
        certain = [a.label == truth for a, truth in found if a.score >= rows.get(a.label, lowest)]
        if found:
            kept[name] = float(np.mean(certain)) if certain else float("nan"), len(certain) / len(found)
    return {name: rows for name, rows in thresholds.items() if rows}, kept


def _label_threshold(
    label: str, found: list[tuple[SceneAttribute, str]], wrong: list[SceneAttribute], dry: int, lowest: float
) -> float:
    called = [(a.score, truth == label) for a, truth in found if a.label == label]
    scores, correct = np.array([s for s, _ in called]), np.array([c for _, c in called], bool)
    precise = score_of_precision(scores, correct, PRECISION)
    false = score_that_allows(np.array([a.score for a in wrong if a.label == label]), int(DRY_FALSE * dry))
    if false:
        false = 1 - (1 - false) / (1 - false + MARGIN * false) if false < 1 else 1.0
    return float(min(max(precise, false, lowest), SURE))


def write_calibration(model: Path, found: Calibration, out: Path) -> None:
    """Write the options into model.json of the folder, or of its copy."""
    if out.resolve() != model.resolve():
        shutil.copytree(model, out, dirs_exist_ok=True)
    data = read_json(out)
    for head in data["outputs"]:
        options = head.setdefault("options", {})
        if head["head"] == "objects":
            options["calibration"] = {row.name: [round(value, 4) for value in row.pair] for row in found.rows}
            options["thresholds"] = {row.name: row.threshold for row in found.rows}
        elif head["head"] == "scene":
            options["thresholds"] = found.scene
    data.setdefault("training", {})["calibration"] = {
        "pictures": found.sources,
        "error": {row.name: [row.error_before, row.error_after] for row in found.rows},
    }
    spec_from_json(data, out)
    part = out / "model.json.part"
    part.write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    part.replace(out / "model.json")
    copy_settings(out)


def text_of(found: Calibration) -> str:
    """A table of the classes, and the thresholds of the scene labels."""
    from camera_perception.core.text_table import text_table

    header = ("class", "labels", "slope", "offset", "threshold", "precision", "recall", "ECE before", "ECE after")
    rows: list[tuple[Any, ...]] = [
        (row.name, row.labelled, *row.pair, row.threshold, row.precision, row.recall, row.error_before, row.error_after)
        for row in found.rows
    ]
    lines = [text_table(header, rows)]
    for name, labels in found.scene.items():
        lines.append(f"{name}: " + ", ".join(f"{label} from {score:.4f}" for label, score in labels.items()))
    for name, (accuracy, share) in found.scene_kept.items():
        lines.append(f"{name} on rendered pictures: {share:.2f} known, {accuracy:.2f} of them right")
    return "\n".join(lines)
