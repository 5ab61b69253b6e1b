"""The `outputs` of model.json for the heads of PerceptionNet: tensors, classes, options."""

from __future__ import annotations

from typing import Any

from perception_models.data import labels

# Branch `many` detects objects several times, and `one` does early in training. Found at 0.5 false boxes an image by
# version 0.10.0, with IoU 0.45 alone and with both: people from 40 pixels, COCO 173 and 183 of 444, CamVid by day 62
# and 66 of 94; vehicles, CamVid at dusk 80 and 84 of 92, PandaSet 393 and 391 of 455.
NMS_IOU, OVERLAP_DECAY = 0.5, 0.2
# Of the own hood, 0.39 to 0.23 stay drivable on PandaSet's rear camera, 0.31 to 0 on comma2k19; road IoU 0.89 to 0.90.
ISLANDS = 0.1
ONE_OBJECT = [["pedestrian", "rider"], ["car", "truck", "bus", "train"], ["motorcycle", "bicycle"]]


def model_outputs(tasks: list[str], thresholds: dict[str, float]) -> list[dict[str, Any]]:
    """One entry per task, in the order of `tasks`."""
    heads = {
        "objects": _objects(),
        "drivable": {**_class_map("drivable", labels.DRIVABLE), "options": {"islands": ISLANDS}},
        "semantic": _class_map("semantic", labels.SEMANTIC),
        "lanes": _lanes(),
        "scene": _scene(),
    }
    return [
        {"head": task, "threshold": thresholds.get(task, 0.5 if task == "lanes" else 0.4), **heads[task]}
        for task in tasks
    ]


def _objects() -> dict[str, Any]:
    """Without the class "traffic light" the states of lights are left out."""
    tensors: list[str] = ["boxes", "scores", "classes"]
    options: dict[str, Any] = {}
    if labels.LIGHT != labels.NO_LIGHT:
        tensors.append("light_states")
        options = {"light_states": list(labels.LIGHT_STATES), "light_class": labels.OBJECTS[labels.LIGHT]}
    return {
        "kind": "topk_boxes",
        "tensors": {name: name for name in tensors},
        "classes": list(labels.OBJECTS),
        "nms_iou": NMS_IOU,
        "options": {**options, "one_object": one_object(), "overlap_decay": OVERLAP_DECAY},
    }


def one_object() -> list[list[str]]:
    """Those classes of a network that are alternatives for one object."""
    groups = ([name for name in group if name in labels.OBJECTS] for group in ONE_OBJECT)
    return [group for group in groups if len(group) > 1]


def _class_map(name: str, classes: tuple[str, ...]) -> dict[str, Any]:
    return {"kind": "class_map", "tensors": {"map": name}, "classes": list(classes)}


def _lanes() -> dict[str, Any]:
    roles = ("x", "row_score", "score", "type", "color")
    return {
        "kind": "lane_rows",
        "tensors": {role: f"lane_{role}" for role in roles},
        "options": {
            "positions": list(labels.POSITIONS),
            "line_types": list(labels.LINE_TYPES),
            "line_colors": list(labels.LINE_COLORS),
            "row_threshold": 0.5,
        },
    }


def _scene() -> dict[str, Any]:
    names = {name: list(values) for name, values in labels.SCENE.items()}
    return {"kind": "attributes", "tensors": {name: name for name in names}, "options": {"labels": names}}
