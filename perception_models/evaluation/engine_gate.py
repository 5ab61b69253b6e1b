"""One figure per task for any engine, by the evaluation: what a gate compares. No torch."""

from __future__ import annotations

from pathlib import Path

from camera_perception.core.model_spec import ModelSpec
from camera_perception.engines import Engine, infer
from perception_models.data.registry import find_datasets
from perception_models.evaluation.model import Model
from perception_models.evaluation.records import headlines, record, summarise

MOST = 500  # images of each data set; a gate need not take an hour


def figures(spec: ModelSpec, engine: Engine, labelled: Path, most: int = MOST) -> dict[str, float]:
    """Figure: 0..1, more is better, over all labelled images of a folder."""
    model = Model(spec, lambda images: infer(engine, images))
    rows = []
    for kind, samples in find_datasets(labelled).values():
        count = min(most, len(samples))
        for sample in (samples[i * len(samples) // count] for i in range(count)):
            rows.append(record(model.see(sample.image), sample, model, crop=kind == "traffic_light_crops"))
    return headlines(summarise(rows, model.threshold("objects")))
