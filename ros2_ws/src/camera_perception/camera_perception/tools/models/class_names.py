"""Class names of a network: from the metadata of its file, or assumed."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from typing import Any

from camera_perception.core.natural_order import natural_order

COCO = (
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,parking meter,"
    "bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,suitcase,frisbee,skis,"
    "snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,cup,"
    "fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,"
    "potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,sink,"
    "refrigerator,book,clock,vase,scissors,teddy bear,hair drier,toothbrush"
).split(",")
COCO_GAPS = (0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83)  # numbers of COCO's 91 categories that have no name
KEYS = ("names", "class_names", "classes", "labels", "id2label")  # metadata, as exporters call it


def names_in(metadata: Mapping[str, str]) -> list[str]:
    """Class names in the metadata of a file, whatever their form; empty without any.

    Known forms: a Python or JSON list, a mapping from numbers or texts of numbers ("0", 0), and lines or commas.
    """
    for key in KEYS:
        if metadata.get(key, "").strip() and (names := _names(_parsed(metadata[key]))):
            return names
    return []


def _parsed(text: str) -> Any:
    for parse in (ast.literal_eval, json.loads):
        try:
            return parse(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
    separator = "\n" if "\n" in text.strip() else ","
    return [name.strip() for name in text.strip().split(separator)]


def _names(parsed: Any) -> list[str]:
    if isinstance(parsed, Mapping):
        by_number = {str(key).strip(): str(name) for key, name in parsed.items()}
        if not all(key.isdigit() for key in by_number):
            return []
        order = natural_order(by_number)
        count = int(order[-1]) + 1 if order else 0
        numbered = {int(key): name for key, name in by_number.items()}
        return [numbered.get(i, f"class_{i}") for i in range(count)] if count <= 10 * len(order) else []
    return [str(name) for name in parsed] if isinstance(parsed, (list, tuple)) else []


def named(metadata: Mapping[str, str], count: int | None, notes: list[str]) -> list[str]:
    """The names of `count` classes: from the metadata, COCO's, or placeholders; None: of an unknown number.

    notes  gets a sentence about what was assumed
    """
    names = names_in(metadata)
    if names and count in (None, len(names)):
        return names
    if names:
        notes.append(f"the file names {len(names)} classes, the output has {count}: the names were not used")
    if count in (None, len(COCO)):
        notes.append(f"{'' if count is None else '80 '}classes without names: assumed the 80 of COCO")
        return list(COCO)
    if count == len(COCO) + len(COCO_GAPS):
        notes.append("91 classes without names: assumed COCO's numbers of categories")
        return coco_91()
    notes.append(f"{count} classes without names: replace class_0 ... in model.json")
    return [f"class_{i}" for i in range(count or 0)]


def coco_91() -> list[str]:
    """COCO's names at the numbers of its categories, 0 to 90."""
    left = iter(COCO)
    return [f"class_{i}" if i in COCO_GAPS else next(left) for i in range(91)]
