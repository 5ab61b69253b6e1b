"""The model that is used when none is named."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from camera_perception.core.errors import ModelError
from camera_perception.core.natural_order import natural_order

VARIABLE = "CAMERA_PERCEPTION_MODEL"
ZOO = "perception_models/zoo/*/model.json"
INSTALLED = Path("/opt/models")  # in our container images


def shipped_model(start: Path | None = None) -> Path:
    """The folder that CAMERA_PERCEPTION_MODEL names, else the first one of the zoo.

    start  where the search for the zoo begins, upwards; default: the working directory, then this repository
    raises ModelError when there is none
    """
    if named := os.environ.get(VARIABLE):
        return Path(named)
    if model := next(_found(start), None):
        return model.parent
    raise ModelError(f"no model in perception_models/zoo/: give --model, the folder with model.json, or set {VARIABLE}")


def _found(start: Path | None) -> Iterator[Path]:
    places = (start,) if start else (Path.cwd(), Path(__file__).resolve())
    for place in places:
        for folder in (place, *place.parents):
            yield from natural_order(folder.glob(ZOO))
    if start is None:
        yield from natural_order(INSTALLED.glob("*/model.json"))
