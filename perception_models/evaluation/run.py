"""perception-models evaluate: metrics.json and report.html of a model on labelled data."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from perception_models.data.cache import Samples
from perception_models.data.files import DataError
from perception_models.data.registry import find_datasets, no_labels
from perception_models.data.sample import Sample
from perception_models.data.warp import mirror, warp
from perception_models.evaluation.model import Predictor, open_model
from perception_models.evaluation.records import Record, evenly_spaced, headlines, record, slices, summarise
from perception_models.evaluation.robustness.corruptions import corruption_table
from perception_models.evaluation.worst import Worst

PROTOCOLS = ("own", "yolop")


def evaluate(
    model: Path | str,
    data: Sequence[Path | str | Mapping[str, Any]],
    out: Path | str,
    protocol: str = "own",
    limit: int | None = None,
    mirrored: bool = False,
    engine: str = "onnxruntime",
    split: str = "val",
    corruptions: int = 0,
) -> dict[str, Any]:
    """Evaluate a model folder, ONNX file or checkpoint on labelled data; write and return the metrics.

    data      labelled folders, traffic_light_crops, KITTI, or parents of such, or entries as of data.val
    protocol  "own", or "yolop": adds the metrics that papers on BDD100K report
    limit     maximum images per data set, evenly spaced
    mirrored  flip every image horizontally
    split     of data sets that have several
    corruptions  images per data set to corrupt in 40 ways each, evenly spaced; 0: none
    """
    if protocol not in PROTOCOLS:
        raise DataError(f"protocol '{protocol}': expected one of {', '.join(PROTOCOLS)}")
    sets = find_datasets(*data, split=split)
    if reasons := [reason for _, samples in sets.values() if (reason := no_labels(samples))]:
        raise DataError(reasons[0])
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    with open_model(model, engine) as opened:
        metrics = {"model": opened.spec.name, "version": opened.spec.version, "engine": engine, "mirrored": mirrored}
        metrics["datasets"], worst = _measure(opened, sets, protocol, limit, mirrored)
        if corruptions:
            metrics["corruptions"] = corruption_table(opened, sets, corruptions)
    _write_json(out / "metrics.json", metrics)
    from perception_models.evaluation.report import write_report  # imports matplotlib, which takes a second

    write_report(out / "report.html", metrics, worst)
    return metrics


def _measure(
    model: Predictor, sets: dict[str, tuple[str, Samples]], protocol: str, limit: int | None, mirrored: bool
) -> tuple[dict[str, Any], Worst]:
    metrics, worst, every, threshold = {}, Worst(model.spec.classes), [], model.threshold("objects")
    for name, (kind, samples) in sets.items():
        rows, yolop = [], _yolop(protocol, model)
        for sample in evenly_spaced(samples, limit, progress=name):
            sample = flipped(sample) if mirrored else sample
            observations = model(sample.image)
            rows.append(record(observations, sample, model, crop=kind == "traffic_light_crops"))
            worst.consider(name, sample, observations, rows[-1], threshold)
            if yolop:
                yolop.update(observations, sample)
        metrics[name] = _summary(rows, threshold)
        if yolop:
            metrics[name]["yolop"] = yolop.result()
        every += rows
    if len(sets) > 1:
        metrics["all"] = _summary(every, threshold)
    return metrics, worst


def _summary(rows: Sequence[Record], threshold: float) -> dict[str, Any]:
    summary = summarise(rows, threshold)
    return {"headlines": headlines(summary), **summary, "slices": slices(rows, threshold)}


def _yolop(protocol: str, model: Predictor) -> Any:
    if protocol != "yolop":
        return None
    from perception_models.evaluation.metrics.bdd_protocol import Yolop

    return Yolop(model.spec.classes)


def flipped(sample: Sample) -> Sample:
    """The sample flipped horizontally, including lane positions, line types and calibration."""
    mirrored = warp(sample, mirror(sample.size[1]), sample.size)
    return replace(mirrored, name=f"mirrored {sample.name}")


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(_plain(value), indent=1), "utf-8")


def _plain(value: Any) -> Any:
    """Numbers rounded to five decimals; NaN and infinity as null."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return round(value, 5) if math.isfinite(value) else None
    return value
