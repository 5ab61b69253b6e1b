"""What the demo plays and runs when nobody says: what the repository around the working directory brings."""

from __future__ import annotations

from pathlib import Path

from camera_perception.errors import BagError, ModelError


def default_bag(start: Path) -> Path:
    """The first recording in bags/ of the nearest folder upwards that has one."""
    found = _first(start, "bags/*/metadata.yaml")
    if found is None:
        raise BagError("no recording in bags/: write one with `python bags/make_bag.py`, or give --bag")
    return found.parent


def default_model(start: Path) -> Path:
    """The first model folder in perception_models/zoo/ of the nearest folder upwards that has one."""
    found = _first(start, "perception_models/zoo/*/model.json")
    if found is None:
        raise ModelError("no model in perception_models/zoo/: give --model, the folder that holds model.json")
    return found.parent


def _first(start: Path, pattern: str) -> Path | None:
    for folder in (start, *start.parents):
        if found := sorted(folder.glob(pattern)):
            return found[0]
    return None
