"""What fp16, int8 and fp8 cost: a model's variants, measured on labelled images beside the original, as one table."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from camera_perception.core.model_spec import ModelSpec, load_spec
from camera_perception.engines import Engine, infer
from camera_perception.engines.select import load_engine
from perception_models.compression.quantize import PRECISIONS, quantize
from perception_models.data.registry import find_datasets
from perception_models.evaluation.model import Model
from perception_models.evaluation.records import headlines, record, summarise

MODEL_FILES = ("model.json", "model.onnx", "reference.npz")


@dataclass(frozen=True)
class Figure:
    """One task on one data set. value 0..1 of the fp32 model; lost: points of a hundred by precision."""

    data: str
    images: int
    task: str
    value: float
    lost: dict[str, float]


def precisions(
    folder: Path, calibration: Path, data: Sequence[Path], out: Path, limit: int = 100, count: int = 100
) -> list[Figure]:
    """Make the variants of a copy of the model in out, and measure all of them in ONNX Runtime on the CPU.

    calibration  images for int8 and fp8: recording, video or folder; at most count of them
    data         labelled folders; at most limit images of each
    """
    specs = variants(folder, calibration, out, count)
    engines = {
        name: load_engine(spec, "onnxruntime", device="cpu", spin=False, fuse=name == "fp32", threads=1)
        for name, spec in specs.items()
    }
    models = {name: _model(spec, engines[name]) for name, spec in specs.items()}
    try:
        return [figure for one in data for figure in measure(models, one, limit)]
    finally:
        for engine in engines.values():
            engine.close()


def variants(folder: Path, calibration: Path, out: Path, count: int) -> dict[str, ModelSpec]:
    """Precision: model, the original among them. None is refused for what it loses: that is what is asked."""
    out.mkdir(parents=True, exist_ok=True)
    for name in MODEL_FILES:
        shutil.copy(folder / name, out / name)
    made = {p: quantize(out, p, None if p == "fp16" else calibration, count=count).folder for p in PRECISIONS}
    return {"fp32": load_spec(out), **{precision: load_spec(path) for precision, path in made.items()}}


def _model(spec: ModelSpec, engine: Engine) -> Model:
    return Model(spec, lambda images: infer(engine, images))


def measure(models: Mapping[str, Model], data: Path, limit: int) -> list[Figure]:
    """The figures of each data set in a folder; every image is read once and shown to all models."""
    found = []
    for name, (kind, samples) in find_datasets(data).items():
        count = min(limit, len(samples))
        rows: dict[str, list[Any]] = {precision: [] for precision in models}
        for number in tqdm(range(count), desc=name, unit="image"):
            sample = samples[number * len(samples) // count]
            for precision, model in models.items():
                seen = model.see(sample.image)
                rows[precision].append(record(seen, sample, model, crop=kind == "traffic_light_crops"))
        values = {p: headlines(summarise(rows[p], model.threshold("objects"))) for p, model in models.items()}
        found += [_figure(name, count, task, values) for task in values["fp32"]]
    return found


def _figure(data: str, images: int, task: str, values: Mapping[str, Mapping[str, float]]) -> Figure:
    best = values["fp32"][task]
    lost = {p: round(100 * (best - row.get(task, 0.0)), 2) + 0.0 for p, row in values.items() if p != "fp32"}
    return Figure(data, images, task, best, lost)


def markdown(figures: Sequence[Figure], command: str, spec: ModelSpec) -> str:
    """The table under a line that says how it came about."""
    lost = list(figures[0].lost)
    head = ("data", "images", "task", "fp32", *(f"{precision} loses" for precision in lost))
    rows = [(f.data, str(f.images), f.task, f"{f.value:.3f}", *(f"{f.lost[p]:+.2f}" for p in lost)) for f in figures]
    lines = [head, ["---"] * len(head), *rows]
    said = f"`{command}`, model {spec.name} {spec.version} ({spec.onnx_sha256[:12]}), points of a hundred:"
    return "\n".join([said, "", *("| " + " | ".join(line) + " |" for line in lines)])
