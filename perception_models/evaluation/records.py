"""Metrics of one image, and their summary over a set of images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from camera_perception.core.types import Observations, Task
from perception_models.data.cache import Samples
from perception_models.data.labels import DRIVABLE, SEMANTIC
from perception_models.data.sample import Sample
from perception_models.evaluation.metrics import lanes, lights, objects, scene, segmentation
from perception_models.evaluation.metrics.average_precision import ObjectRecord
from perception_models.evaluation.metrics.lanes import LaneRecord
from perception_models.evaluation.metrics.lights import LightRecord
from perception_models.evaluation.metrics.scene import SceneRecord
from perception_models.evaluation.model import Predictor

UNLABELLED = "unlabelled"
SLICES = ("weather", "timeofday", "scene", "sequence", "fold")
MAX_SLICES = 24  # values of an attribute; more, such as sequence names, are no longer comparable

# Metrics that slices and runs are compared by: name, and path inside a summary
HEADLINES = {
    "map50": ("objects", "map50"),
    "vehicle_ap50": ("objects", "vehicles", "ap50"),
    "vehicle_ap50_medium": ("objects", "vehicles", "ap50_medium"),
    "vehicle_ap50_large": ("objects", "vehicles", "ap50_large"),
    "light_recall": ("lights", "recall"),
    "lane_f1": ("lanes", "f1"),
    "ego_lane_f1": ("lanes", "ego", "f1"),
    "line_type": ("lanes", "type_accuracy"),
    "line_color": ("lanes", "color_accuracy"),
    "drivable_iou": ("drivable", "drivable_iou"),
    "semantic_miou": ("semantic", "miou"),
    "scene": ("scene", "accuracy"),
    "crops": ("crops", "recall"),
}


@dataclass
class Record:
    """One image. A part is None if the image has no such labels or the model no such head."""

    name: str
    attributes: dict[str, str]
    objects: ObjectRecord | None = None
    lights: LightRecord | None = None
    crops: LightRecord | None = None
    lanes: LaneRecord | None = None
    drivable: np.ndarray | None = None
    semantic: np.ndarray | None = None
    scene: SceneRecord | None = None


def evenly_spaced(samples: Samples, limit: int | None = None, progress: str | None = None) -> Iterator[Sample]:
    """At most `limit` samples, evenly spaced over the data set; `progress` is the title of a progress bar."""
    count = len(samples) if limit is None else min(limit, len(samples))
    for i in tqdm(range(count), desc=progress, unit="image", disable=True if progress is None else None):
        yield samples[i * len(samples) // count]


def record(observations: Observations, sample: Sample, model: Predictor, crop: bool = False) -> Record:
    """Compare observations with labels. crop: the sample is a single traffic light on grey; only its state counts."""
    out = Record(sample.name, sample.attributes)
    detections = observations.detections
    if crop:
        if observations.tasks & Task.TRAFFIC_LIGHTS and sample.boxes is not None:
            out.crops = lights.record_crop(detections, int(sample.boxes.light_states[0]), *_light_options(model))
        return out
    if observations.tasks & Task.OBJECTS and sample.boxes is not None:
        out.objects = objects.record(detections, sample.boxes, model.spec.classes, sample.known_classes)
        if observations.tasks & Task.TRAFFIC_LIGHTS and (sample.boxes.light_states >= 0).any():
            threshold = model.threshold("objects")
            out.lights = lights.record(detections, sample.boxes, *_light_options(model), threshold)
    if observations.tasks & Task.LANES and sample.lanes is not None:
        out.lanes = lanes.record(observations.lanes, sample.lanes, sample.size)
    if observations.drivable is not None and sample.drivable is not None:
        out.drivable = segmentation.record(observations.drivable, sample.drivable, DRIVABLE)
    if observations.semantic is not None and sample.semantic is not None:
        out.semantic = segmentation.record(observations.semantic, sample.semantic, SEMANTIC)
    if observations.scene and any(value >= 0 for value in sample.scene.values()):
        out.scene = scene.record(observations.scene, sample.scene)
    return out


def _light_options(model: Predictor) -> tuple[tuple[str, ...], int]:
    """State names of the model, and its class index of traffic lights."""
    return model.spec.light_states, model.spec.light_class


def summarise(records: Sequence[Record], threshold: float, curves: bool = True) -> dict[str, Any]:
    """Metrics of every label type that occurs in the images.

    threshold  operating point of the object head
    """
    summarisers: dict[str, Callable[[list[Any]], dict[str, Any]]] = {
        "objects": lambda rows: objects.summarise(rows, threshold, curves),
        "lights": lights.summarise,
        "crops": lights.summarise,
        "lanes": lanes.summarise,
        "drivable": lambda rows: segmentation.summarise_drivable(rows, DRIVABLE),
        "semantic": lambda rows: segmentation.summarise(rows, SEMANTIC),
        "scene": scene.summarise,
    }
    parts = {name: [part for r in records if (part := getattr(r, name)) is not None] for name in summarisers}
    return {"images": len(records), **{name: summarisers[name](rows) for name, rows in parts.items() if rows}}


def headlines(summary: dict[str, Any]) -> dict[str, float]:
    """The metrics of HEADLINES that a summary contains."""
    present = {}
    for name, path in HEADLINES.items():
        value: Any = summary
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            present[name] = float(value)
    return present


def slices(records: Sequence[Record], threshold: float) -> dict[str, Any]:
    """Per attribute: headlines of each of its values, and the spread of each headline (best minus worst value)."""
    out = {}
    for attribute in SLICES:
        groups: dict[str, list[Record]] = {}
        for row in records:
            groups.setdefault(row.attributes.get(attribute, UNLABELLED), []).append(row)
        if 1 < len(groups) <= MAX_SLICES:
            out[attribute] = _compare(groups, threshold)
    return out


def _compare(groups: dict[str, list[Record]], threshold: float) -> dict[str, Any]:
    rows = {value: headlines(summarise(group, threshold, curves=False)) for value, group in sorted(groups.items())}
    names = {name for row in rows.values() for name in row}
    values = {name: [row[name] for row in rows.values() if name in row] for name in sorted(names)}
    return {
        "values": {value: {"images": len(groups[value]), **row} for value, row in rows.items()},
        "spread": {name: max(column) - min(column) for name, column in values.items()},
    }
