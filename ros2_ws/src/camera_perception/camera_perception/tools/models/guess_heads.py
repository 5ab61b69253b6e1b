"""Guess the heads of a network from the names and shapes of its outputs."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from camera_perception.engines import Tensor

COCO = (
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,parking meter,"
    "bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,suitcase,frisbee,skis,"
    "snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,cup,"
    "fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,"
    "potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,sink,"
    "refrigerator,book,clock,vase,scissors,teddy bear,hair drier,toothbrush"
).split(",")
STRIDES = (8, 16, 32)
UNIT_RGB = {"color": "rgb", "scale": 1 / 255}
IMAGENET = {**UNIT_RGB, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
DRIVABLE_NAMES, LANE_NAMES = ("drive", "drivable", "da"), ("lane", "ll", "line")


@dataclass
class Guess:
    """input and outputs are sections of model.json; notes: what was recognised, and what the user has to check."""

    outputs: list[dict[str, Any]] = field(default_factory=list)
    input: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def guess(image: Tensor, outputs: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Guess:
    """Guess heads and input of a network: this project's output names first, then boxes, then maps."""
    result = Guess(input=dict(UNIT_RGB) if image.dtype.kind == "f" else {})
    if {"boxes", "scores", "classes"} <= outputs.keys():
        result.notes.append("looks like an export of this project: copy its whole model folder, which has a model.json")
    cells = _cells(image)
    boxes = [o for o in outputs.values() if len(o.shape) == 3 and o.dtype.kind == "f"]
    maps = [o for o in outputs.values() if len(o.shape) == 4 and o.shape[1] <= 64 and o.shape[2] >= 16 <= o.shape[3]]
    for output in boxes:
        _guess_boxes(result, output, cells, metadata, bool(maps))
    for output in maps:
        _guess_map(result, output, len(maps))
    if maps and any(o["kind"] == "yolop_boxes" for o in result.outputs):
        result.input = dict(IMAGENET)
        result.notes.append(
            "boxes and masks together, as in YOLOP: assumed RGB with ImageNet mean and standard deviation"
        )
    known = {name for output in result.outputs for name in output["tensors"].values()}
    ignored = [name for name in outputs if name not in known]
    if ignored:
        result.notes.append(f"not used: {', '.join(ignored)}")
    return result


def _cells(image: Tensor) -> int:
    height, width = image.shape[2:] if image.shape[1] == 3 else image.shape[1:3]
    return sum((height // stride) * (width // stride) for stride in STRIDES)


def _guess_boxes(result: Guess, output: Tensor, cells: int, metadata: Mapping[str, str], has_maps: bool) -> None:
    _, rows, columns = output.shape
    if any(head["head"] == "objects" for head in result.outputs):
        return
    if columns == cells and rows > 4:
        classes = _names(metadata, rows - 4, result)
        _add_objects(
            result, "ultralytics", output, classes, f"[4 + {rows - 4}, {cells}]: Ultralytics layout (YOLOv8, YOLO11)"
        )
    elif rows == cells and columns > 5:
        classes = _names(metadata, columns - 5, result)
        _add_objects(result, "yolox", output, classes, f"[{cells}, 5 + {columns - 5}]: YOLOX layout")
        result.input = {"color": "bgr", "align": "top_left"}
        result.notes.append(
            "YOLOX: assumed BGR 0..255, aligned to the top left corner; set options.decoded if exported with "
            "--decode_in_inference"
        )
    elif rows == 3 * cells and columns > 5:
        classes = ["car"] if columns == 6 and has_maps else _names(metadata, columns - 5, result)
        text = f"[3 x {cells}, 5 + {columns - 5}]: decoded anchor boxes (YOLOP, YOLOv5)"
        _add_objects(result, "yolop_boxes", output, classes, text)
    elif columns == 6 and rows <= 1000:
        classes = _names(metadata, _metadata_count(metadata), result)
        _add_objects(result, "ultralytics", output, classes, f"[{rows}, 6]: end-to-end rows (YOLOv10, YOLO26)")


def _add_objects(result: Guess, kind: str, output: Tensor, classes: list[str], why: str) -> None:
    result.outputs.append({"head": "objects", "kind": kind, "tensors": {"output": output.name}, "classes": classes})
    result.notes.append(f"'{output.name}' {why}")


def _names(metadata: Mapping[str, str], count: int, result: Guess) -> list[str]:
    """Class names from the file's metadata; without them COCO's for 80 classes, else placeholders."""
    try:
        names = ast.literal_eval(metadata["names"])
        return [str(names[i]) for i in range(len(names))]
    except (KeyError, ValueError, SyntaxError, TypeError, IndexError):
        pass
    if count == len(COCO):
        result.notes.append("80 classes without names: assumed those of COCO")
        return list(COCO)
    result.notes.append(f"{count} classes without names: replace class_0 ... in model.json")
    return [f"class_{i}" for i in range(count)]


def _metadata_count(metadata: Mapping[str, str]) -> int:
    try:
        return len(ast.literal_eval(metadata["names"]))
    except (KeyError, ValueError, SyntaxError, TypeError):
        return len(COCO)


def _guess_map(result: Guess, output: Tensor, maps: int) -> None:
    planes, parts = output.shape[1], output.name.lower().replace("-", "_").split("_")
    text = output.name.lower()
    if any(name in parts or (len(name) > 2 and name in text) for name in LANE_NAMES) and planes <= 2:
        tensors, why = {"logits": output.name}, "lane markings, by its name"
        result.outputs.append({"head": "lanes", "kind": "lane_mask_logits", "tensors": tensors})
    elif any(name in parts or (len(name) > 2 and name in text) for name in DRIVABLE_NAMES) and planes <= 2:
        _add_map(result, "drivable", output, ["background", "road"])
        why = "drivable road, by its name"
    elif planes <= 2 and maps == 2 and output.dtype.kind == "f":
        why = _guess_pair(result, output)
    elif planes > 2:
        _add_map(result, "semantic", output, [f"class_{i}" for i in range(planes)])
        why = f"{planes} planes: a class per pixel; replace class_0 ... in model.json"
    else:
        return
    result.notes.append(f"'{output.name}' {why}")


def _guess_pair(result: Guess, output: Tensor) -> str:
    """Two masks whose names do not identify them: assumed in TwinLiteNet's order, road first."""
    if any(head["head"] == "drivable" for head in result.outputs):
        result.outputs.append({"head": "lanes", "kind": "lane_mask_logits", "tensors": {"logits": output.name}})
        return "second of two masks: assumed lane markings (TwinLiteNet's order)"
    _add_map(result, "drivable", output, ["background", "road"])
    return "first of two masks: assumed drivable road (TwinLiteNet's order)"


def _add_map(result: Guess, head: str, output: Tensor, classes: list[str]) -> None:
    result.outputs.append({"head": head, "kind": "mask_logits", "tensors": {"logits": output.name}, "classes": classes})
