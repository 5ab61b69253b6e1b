"""Which data sets lie in a folder: one, or one per child."""

from __future__ import annotations

from pathlib import Path

from perception_models.data.cache import Samples
from perception_models.data.errors import DataError
from perception_models.data.registry import open_dataset

# kind: what its folder holds; the first that fits
MARKS = {
    "bdd100k": ("images/100k", "labels"),
    "traffic_light_crops": ("red", "yellow", "green"),
    "kitti": ("image_2", "label_2"),
    "tusimple": ("label_data*.json", "clips"),
    "culane": ("list", "driver_*"),
    "labelled": ("images",),
}
SPLIT = ("bdd100k", "culane")


def kind_of(folder: Path) -> str | None:
    """The kind of data set in a folder, or None."""
    return next((kind for kind, marks in MARKS.items() if all(any(folder.glob(mark)) for mark in marks)), None)


def find_entries(folder: Path | str, split: str = "val") -> list[dict[str, str]]:
    """{kind, path} of the data set in a folder, or of those in its children; DataError when there is none.

    split  the part of BDD100K or CULane
    """
    folder = Path(folder)
    children = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    places = [folder] if kind_of(folder) else [path for path in children if kind_of(path)]
    if not places:
        marks = "; ".join(f"{kind}: {', '.join(marks)}" for kind, marks in MARKS.items())
        raise DataError(f"{folder}: no labelled data here or one level below; expected folders of one of {marks}")
    return [_entry(path, str(kind_of(path)), split) for path in places]


def _entry(path: Path, kind: str, split: str) -> dict[str, str]:
    return {"kind": kind, "path": str(path), **({"split": split} if kind in SPLIT else {})}


def find_datasets(folder: Path | str) -> dict[str, tuple[str, Samples]]:
    """Name: (kind, data set) of a folder or of its children; of public data sets the validation part."""
    entries = find_entries(folder)
    return {Path(e["path"]).resolve().name: (e["kind"], open_dataset(**e)) for e in entries}
