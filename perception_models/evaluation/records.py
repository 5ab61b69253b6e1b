"""Everything measured on one image, and what a set of such records adds up to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from camera_perception.core.types import Observations, Task
from perception_models.data.labels import DRIVABLE, SEMANTIC
from perception_models.data.sample import Sample
from perception_models.evaluation.metrics import lanes, lights, objects, scene, segmentation
from perception_models.evaluation.metrics.lanes import LaneRecord
from perception_models.evaluation.metrics.lights import LightRecord
from perception_models.evaluation.metrics.matching import ObjectRecord
from perception_models.evaluation.metrics.scene import SceneRecord
from perception_models.evaluation.model import Model

UNTOLD = "unlabelled"
SLICES = ("weather", "timeofday", "scene", "sequence", "fold")


@dataclass
class Record:
    """One image. A part is None when the image has no such labels or the model no such head."""

    name: str
    attributes: dict[str, str]
    objects: ObjectRecord | None = None
    lights: LightRecord | None = None
    crops: LightRecord | None = None
    lanes: LaneRecord | None = None
    drivable: np.ndarray | None = None
    semantic: np.ndarray | None = None
    scene: SceneRecord | None = None


def record(seen: Observations, sample: Sample, model: Model, crop: bool = False) -> Record:
    """crop: the sample shows a single traffic light on grey; only its state is asked for."""
    out = Record(sample.name, sample.attributes)
    if crop:
        if seen.tasks & Task.TRAFFIC_LIGHTS and sample.boxes is not None:
            out.crops = lights.record_crop(seen.detections, int(sample.boxes.light_states[0]), *_lights_of(model))
        return out
    if seen.tasks & Task.OBJECTS and sample.boxes is not None:
        out.objects = objects.record(seen.detections, sample.boxes, model.spec.classes, sample.known_classes)
        if seen.tasks & Task.TRAFFIC_LIGHTS and (sample.boxes.light_states >= 0).any():
            threshold = model.threshold("objects")
            out.lights = lights.record(seen.detections, sample.boxes, *_lights_of(model), threshold)
    if seen.tasks & Task.LANES and sample.lanes is not None:
        out.lanes = lanes.record(seen.lanes, sample.lanes, sample.size)
    if seen.drivable is not None and sample.drivable is not None:
        out.drivable = segmentation.record(seen.drivable, sample.drivable, DRIVABLE)
    if seen.semantic is not None and sample.semantic is not None:
        out.semantic = segmentation.record(seen.semantic, sample.semantic, SEMANTIC)
    if seen.scene and any(value >= 0 for value in sample.scene.values()):
        out.scene = scene.record(seen.scene, sample.scene)
    return out


def _lights_of(model: Model) -> tuple[tuple[str, ...], int]:
    return model.spec.light_states, model.spec.light_class


def summarise(records: Sequence[Record], threshold: float, curves: bool = True) -> dict[str, Any]:
    """Figures of every kind of label that any of the images has.

    threshold  operating point of the object head
    """
    how: dict[str, Callable[[list[Any]], dict[str, Any]]] = {
        "objects": lambda rows: objects.summarise(rows, threshold, curves),
        "lights": lights.summarise,
        "crops": lights.summarise,
        "lanes": lanes.summarise,
        "drivable": lambda rows: segmentation.summarise_drivable(rows, DRIVABLE),
        "semantic": lambda rows: segmentation.summarise(rows, SEMANTIC),
        "scene": scene.summarise,
    }
    parts = {name: [part for r in records if (part := getattr(r, name)) is not None] for name in how}
    return {"images": len(records), **{name: how[name](rows) for name, rows in parts.items() if rows}}


# What a slice is compared by: name, and where the figure is in a summary
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


def headlines(summary: dict[str, Any]) -> dict[str, float]:
    """The figures of HEADLINES that a summary has."""
    found = {}
    for name, path in HEADLINES.items():
        value: Any = summary
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            found[name] = float(value)
    return found


def slices(records: Sequence[Record], threshold: float) -> dict[str, Any]:
    """Per attribute: headlines of each of its values, and per headline the spread (best minus worst value)."""
    out = {}
    for attribute in SLICES:
        groups: dict[str, list[Record]] = {}
        for one in records:
            groups.setdefault(one.attributes.get(attribute, UNTOLD), []).append(one)
        if len(groups) > 1 and len(groups) <= 24:
            out[attribute] = _compared(groups, threshold)
    return out


def _compared(groups: dict[str, list[Record]], threshold: float) -> dict[str, Any]:
    rows = {value: headlines(summarise(group, threshold, curves=False)) for value, group in sorted(groups.items())}
    names = {name for row in rows.values() for name in row}
    values = {name: [row[name] for row in rows.values() if name in row] for name in sorted(names)}
    return {
        "values": {value: {"images": len(groups[value]), **row} for value, row in rows.items()},
        "spread": {name: max(column) - min(column) for name, column in values.items()},
    }
