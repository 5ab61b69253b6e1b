"""Which data sets lie in a folder: one, or one per child."""

from __future__ import annotations

from pathlib import Path

from perception_models.data.cache import Samples
from perception_models.data.errors import DataError
from perception_models.data.registry import open_dataset

# kind: what its folder holds
MARKS = {"labelled": ("images",), "traffic_light_crops": ("red", "yellow", "green"), "kitti": ("image_2", "label_2")}


def kind_of(folder: Path) -> str | None:
    """The kind of data set in a folder, or None."""
    return next((kind for kind, marks in MARKS.items() if all((folder / mark).is_dir() for mark in marks)), None)


def find_datasets(folder: Path | str) -> dict[str, tuple[str, Samples]]:
    """Name: (kind, data set) of a folder or of its children; DataError when there is none."""
    folder = Path(folder)
    children = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    places = [folder] if kind_of(folder) else [path for path in children if kind_of(path)]
    if not places:
        marks = "; ".join(f"{kind}: {', '.join(marks)}" for kind, marks in MARKS.items())
        raise DataError(f"{folder}: no labelled data here or one level below; expected folders of one of {marks}")
    return {path.name: (str(kind_of(path)), open_dataset(str(kind_of(path)), path)) for path in places}
