"""One metric per task for any engine, the input of the accuracy gate of `build-engine --labelled`. Needs no torch."""

from __future__ import annotations

from pathlib import Path

from camera_perception.core.model_spec import ModelSpec
from camera_perception.engines import Engine, infer
from perception_models.data.registry import find_datasets
from perception_models.evaluation.model import Predictor
from perception_models.evaluation.records import evenly_spaced, headlines, record, summarise

MAX_IMAGES = 500  # per data set; a gate need not take an hour


def figures(spec: ModelSpec, engine: Engine, labelled: Path, limit: int = MAX_IMAGES) -> dict[str, float]:
    """Metric: 0..1, higher is better, over all labelled images of a folder.

    The name is that of the entry point `camera_perception.accuracy`.
    """
    model = Predictor(spec, lambda images: infer(engine, images))
    rows = [
        record(model(sample.image), sample, model, crop=kind == "traffic_light_crops")
        for kind, samples in find_datasets(labelled).values()
        for sample in evenly_spaced(samples, limit)
    ]
    return headlines(summarise(rows, model.threshold("objects")))
