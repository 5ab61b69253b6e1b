"""Accuracy cost of fp16, int8 and fp8: the variants of a model evaluated beside the original, as one table."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from camera_perception.core.model_spec import ModelSpec, load_spec
from camera_perception.engines import Engine, infer
from camera_perception.engines.select import load_engine
from perception_models.compression.quantize import PRECISIONS, quantize
from perception_models.data.registry import find_datasets
from perception_models.evaluation.model import Predictor
from perception_models.evaluation.records import evenly_spaced, headlines, record, summarise

MODEL_FILES = ("model.json", "model.onnx", "reference.npz")


@dataclass(frozen=True)
class Loss:
    """One metric on one data set.

    value  of the fp32 model, 0..1
    lost   precision: points of 100
    """

    data: str
    images: int
    metric: str
    value: float
    lost: dict[str, float]


def precisions(
    folder: Path, calibration: Path, data: Sequence[Path], out: Path, limit: int = 100, count: int = 100
) -> list[Loss]:
    """Quantise a copy of the model in `out`, and evaluate all variants in ONNX Runtime on the CPU.

    calibration  recording, video or folder of images for int8 and fp8
    data         labelled folders
    limit        maximum images per data set
    count        maximum calibration images
    """
    return measured(variants(folder, calibration, out, count), data, limit)


def measured(specs: Mapping[str, ModelSpec], data: Sequence[Path], limit: int) -> list[Loss]:
    """What the variants of a model, fp32 among them, lose on labelled folders, in ONNX Runtime on the CPU."""
    engines = {
        name: load_engine(spec, "onnxruntime", device="cpu", spin=False, fuse=name == "fp32", threads=1)
        for name, spec in specs.items()
    }
    models = {name: _predictor(spec, engines[name]) for name, spec in specs.items()}
    try:
        return [loss for each in data for loss in measure(models, each, limit)]
    finally:
        for engine in engines.values():
            engine.close()


def variants(folder: Path, calibration: Path, out: Path, count: int) -> dict[str, ModelSpec]:
    """Precision: model, fp32 included. None is rejected for its loss, because the loss is what is measured."""
    out.mkdir(parents=True, exist_ok=True)
    for name in MODEL_FILES:
        shutil.copy(folder / name, out / name)
    made = {p: quantize(out, p, None if p == "fp16" else calibration, count=count).folder for p in PRECISIONS}
    return {"fp32": load_spec(out), **{precision: load_spec(path) for precision, path in made.items()}}


def _predictor(spec: ModelSpec, engine: Engine) -> Predictor:
    return Predictor(spec, lambda images: infer(engine, images))


def measure(models: Mapping[str, Predictor], data: Path, limit: int) -> list[Loss]:
    """Losses on each data set in a folder; every image is read once and passed to all models."""
    losses = []
    for name, (kind, samples) in find_datasets(data).items():
        rows: dict[str, list[Any]] = {precision: [] for precision in models}
        for sample in evenly_spaced(samples, limit, progress=name):
            for precision, model in models.items():
                rows[precision].append(record(model(sample.image), sample, model, crop=kind == "traffic_light_crops"))
        values = {p: headlines(summarise(rows[p], model.threshold("objects"))) for p, model in models.items()}
        losses += [_loss(name, len(rows["fp32"]), metric, values) for metric in values["fp32"]]
    return losses


def _loss(data: str, images: int, metric: str, values: Mapping[str, Mapping[str, float]]) -> Loss:
    original = values["fp32"][metric]
    lost = {p: round(100 * (original - row.get(metric, 0.0)), 2) + 0.0 for p, row in values.items() if p != "fp32"}
    return Loss(data, images, metric, original, lost)


def markdown(losses: Sequence[Loss], command: str, spec: ModelSpec) -> str:
    """The table below a line with the command and the model that produced it."""
    lost = list(losses[0].lost)
    head = ("data", "images", "metric", "fp32", *(f"{precision} loses" for precision in lost))
    rows = [(r.data, str(r.images), r.metric, f"{r.value:.3f}", *(f"{r.lost[p]:+.2f}" for p in lost)) for r in losses]
    lines = [head, ["---"] * len(head), *rows]
    origin = f"`{command}`, model {spec.name} {spec.version} ({spec.onnx_sha256[:12]}), points of 100:"
    return "\n".join([origin, "", *("| " + " | ".join(line) + " |" for line in lines)])
