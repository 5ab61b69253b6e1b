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
    "coco": ("annotations/*.json",),
    "labelled": ("images",),
}
SPLIT = ("bdd100k", "culane")


def kind_of(folder: Path) -> str | None:
    """The kind of data set in a folder, or None; a file of JSON is COCO's."""
    if folder.is_file():
        return "coco" if folder.suffix == ".json" else None
    return next((kind for kind, marks in MARKS.items() if all(any(folder.glob(mark)) for mark in marks)), None)


def find_entries(folder: Path | str, split: str = "val") -> list[dict[str, str]]:
    """{kind, path} of the data set in a folder, or of those in its children; DataError when there is none.

    split  the part of BDD100K, CULane or COCO
    """
    folder = Path(folder)
    children = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    places = [folder] if kind_of(folder) else [path for path in children if kind_of(path)]
    if not places:
        marks = "; ".join(f"{kind}: {', '.join(marks)}" for kind, marks in MARKS.items())
        raise DataError(f"{folder}: no labelled data here or one level below; expected folders of one of {marks}")
    return [_entry(path, str(kind_of(path)), split) for path in places]


def _entry(path: Path, kind: str, split: str) -> dict[str, str]:
    path = _annotations(path, split) if kind == "coco" and path.is_dir() else path
    return {"kind": kind, "path": str(path), **({"split": split} if kind in SPLIT else {})}


def _annotations(folder: Path, split: str) -> Path:
    """COCO keeps a file per part and kind of label: the boxes of this part, or the only ones there are."""
    files = sorted(folder.glob("annotations/instances*.json")) or sorted(folder.glob("annotations/*.json"))
    chosen = [path for path in files if split in path.stem] or files
    if len(chosen) > 1:
        raise DataError(f"{folder}: which of {', '.join(path.name for path in chosen)}? Give the file, not the folder")
    return chosen[0]


def name_entries(entries: list[dict[str, str]]) -> dict[str, dict[str, str]]:
    """Entries by the name of their folder or file, with as much of the path before it as tells them apart."""
    places = {Path(entry["path"].removesuffix(".json")).resolve(): entry for entry in entries}
    named: dict[str, dict[str, str]] = {}
    for depth in range(1, max((len(path.parts) for path in places), default=0) + 1):
        named = {"/".join(path.parts[-depth:]): entry for path, entry in places.items()}
        if len(named) == len(places):
            break
    return named


def find_datasets(*folders: Path | str, split: str = "val") -> dict[str, tuple[str, Samples]]:
    """Name: (kind, data set) of folders or of their children.

    split  the part of BDD100K, CULane or COCO
    """
    entries = [entry for folder in folders for entry in find_entries(folder, split)]
    return {name: (e["kind"], open_dataset(**e)) for name, e in name_entries(entries).items()}
