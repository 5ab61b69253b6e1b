"""Data sets by `kind`, and discovery of the data sets in a folder or its children."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

from tqdm import tqdm

from camera_perception.core.natural_order import natural_order
from perception_models.data.cache import Samples
from perception_models.data.files import DataError
from perception_models.data.sample import Sample

# kind: module and class of its reader
KINDS = {
    "labelled": ("folder", "LabelledFolder"),
    "traffic_light_crops": ("traffic_lights", "LightCrops"),
    "bdd100k": ("bdd100k", "Bdd100k"),
    "kitti": ("kitti", "KittiObjects"),
    "coco": ("coco", "CocoDetection"),
    "tusimple": ("tusimple", "TuSimple"),
    "culane": ("culane", "CuLane"),
    "yolo": ("annotations.yolo", "Yolo"),
    "voc": ("annotations.voc", "PascalVoc"),
    "cvat": ("annotations.cvat", "Cvat"),
    "labelme": ("annotations.labelme", "LabelMe"),
    "label_studio": ("annotations.label_studio", "LabelStudio"),
}
# kind: patterns that must all exist in its folder; the first match wins
LAYOUTS = {
    "bdd100k": ("images/100k", "labels"),
    "traffic_light_crops": ("red", "yellow", "green"),
    "kitti": ("image_2", "label_2"),
    "tusimple": ("*label*.json", "clips"),
    "culane": ("list", "driver_*"),
    "coco": ("annotations/*.json",),
    "yolo": ("data.y*ml",),
    "voc": ("[Aa]nnotations/*.xml",),
    "cvat": ("annotations.xml",),
    "labelled": ("images",),
}
ROBOFLOW = "_annotations.coco.json"  # beside the images of each split
WITH_SPLIT = ("bdd100k", "culane", "yolo", "voc")
OTHER_SPLITS = {"val": "valid"}  # as Roboflow names them


def open_dataset(kind: str, path: Path | str, **options: Any) -> Samples:
    """A data set of this kind; DataError names the known kinds or the unknown option."""
    try:
        samples: Samples = _reader(kind)(path, **options)
    except TypeError as error:
        raise DataError(f"{path}: {error}; check the options of this data set") from error
    return samples


def no_labels(samples: Samples) -> str:
    """Why a data set has no label at all, as one sentence; empty if it has some."""
    return str(getattr(samples, "no_labels", ""))


def non_default_options(kind: str, options: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The options that differ from the defaults of the reader, sorted by name."""
    parameters = signature(_reader(kind)).parameters
    return sorted((name, value) for name, value in options.items() if value != parameters[name].default)


def _reader(kind: str) -> Any:
    if kind not in KINDS:
        raise DataError(f"unknown kind of data '{kind}': expected one of {', '.join(KINDS)}")
    module, name = KINDS[kind]
    return getattr(import_module(f"perception_models.data.readers.{module}"), name)


def find_datasets(*folders: Path | str | Mapping[str, Any], split: str = "val") -> dict[str, tuple[str, Samples]]:
    """(kind, data set) by name, of folders or of their children, or of entries {kind, path, options of the reader}.

    split  the part of data sets that have several
    """
    entries: list[dict[str, Any]] = []
    for folder in folders:
        entries += [dict(folder)] if isinstance(folder, Mapping) else find_entries(folder, split)
    return {name: (e["kind"], open_dataset(**e)) for name, e in name_entries(entries).items()}


def find_entries(folder: Path | str, split: str = "val") -> list[dict[str, str]]:
    """{kind, path} of the data set in a folder, or of those in its children; DataError if there is none.

    split  the part of data sets that have several
    """
    folder = Path(folder)
    children = natural_order(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    found = [folder] if kind_of(folder) else [path for path in children if kind_of(path)]
    if not found:
        layouts = "; ".join(f"{kind}: {', '.join(patterns)}" for kind, patterns in LAYOUTS.items())
        raise DataError(f"{folder}: no labelled data here or one level below; expected folders of one of {layouts}")
    return [_entry(path, str(kind_of(path)), split) for path in found]


def kind_of(folder: Path) -> str | None:
    """The kind of the data set in a folder, or None; a JSON file is COCO or an export of Label Studio."""
    if folder.is_file():
        return _kind_of_file(folder)
    if any(folder.glob(ROBOFLOW)) or any(folder.glob(f"*/{ROBOFLOW}")):
        return "coco"
    known = (kind for kind, globs in LAYOUTS.items() if all(any(folder.glob(glob)) for glob in globs))
    if (kind := next(known, None)) == "labelled" and not (folder / "labels").is_dir():
        return _kind_by_content(folder) or kind
    if kind == "labelled" and any(folder.glob("labels/**/*.txt")):
        return "yolo"
    lists = ("classes.txt", "obj.names")  # of labelImg and CVAT, with labels beside the images
    if kind is None and any((folder / each).is_file() for each in lists):
        return "yolo"
    return kind or _kind_by_content(folder)


def _kind_of_file(path: Path) -> str | None:
    from perception_models.data.files import read_json
    from perception_models.data.readers.annotations.label_studio import is_export

    if path.suffix in (".yaml", ".yml", ".xml"):
        return "cvat" if path.suffix == ".xml" else "yolo"
    if path.suffix != ".json":
        return None
    return "label_studio" if is_export(read_json(path)) else "coco"


def _kind_by_content(folder: Path) -> str | None:
    """Formats whose files have no fixed names and lie beside the images or their folder."""
    from perception_models.data.readers.annotations.label_studio import is_export_file
    from perception_models.data.readers.annotations.labelme import is_labelme
    from perception_models.data.readers.annotations.voc import is_voc
    from perception_models.data.readers.coco import is_coco

    first = {kind: next(iter(sorted(folder.glob(f"*.{kind}"))), None) for kind in ("json", "xml")}
    kinds = (
        ("json", "labelme", is_labelme),
        ("json", "coco", is_coco),
        ("json", "label_studio", is_export_file),
        ("xml", "voc", is_voc),
    )
    for ending, kind, is_kind in kinds:
        path = first[ending]
        if path is not None and is_kind(path):
            return kind
    return None


def _entry(path: Path, kind: str, split: str) -> dict[str, str]:
    path = _annotations(path, split) if kind == "coco" and path.is_dir() else path
    return {"kind": kind, "path": str(path), **({"split": split} if kind in WITH_SPLIT else {})}


def _annotations(folder: Path, split: str) -> Path:
    """The COCO file with the boxes of this split, or the only file there is (COCO has one per split and label type)."""
    patterns = ("annotations/instances*.json", "annotations/*.json", ROBOFLOW, f"*/{ROBOFLOW}", "*.json")
    files = natural_order(next(filter(None, ([*folder.glob(pattern)] for pattern in patterns)), []))
    splits = (split, OTHER_SPLITS.get(split, split))
    matching = [path for path in files if path.parent.name in splits or any(each in path.stem for each in splits)]
    matching = matching or files
    if len(matching) > 1:
        names = ", ".join(path.name for path in matching)
        raise DataError(f"{folder}: cannot choose between {names}: give the file, not the folder")
    return matching[0]


def name_entries(entries: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Entries by the name of their folder or file, with as many parent folders as needed to be unique."""
    paths = {Path(entry["path"].removesuffix(".json")).resolve(): entry for entry in entries}
    named: dict[str, dict[str, Any]] = {}
    for depth in range(1, max((len(path.parts) for path in paths), default=0) + 1):
        named = {"/".join(path.parts[-depth:]): entry for path, entry in paths.items()}
        if len(named) == len(paths):
            break
    return named


# Exports of annotation tools


def import_labels(source: Path, out: Path, images: Path | None = None) -> dict[str, int]:
    """Write labels that people drew as a folder in our layout; returns the number of labels by name.

    source  export of CVAT, Label Studio or COCO, a YOLO folder, or a zip of one
    images  folder of the images, where the export does not hold them
    """
    if (out / "labels").exists():
        raise DataError(f"{out}: holds labels already; choose another --out")
    from perception_models.data.readers.annotations.writers import write_folder

    with _unpacked(source, images) as folder:
        if kind_of(folder) is None:
            raise DataError(
                f"{source}: neither CVAT for images 1.1, Label Studio, COCO nor YOLO; export as one of these"
            )
        entries = find_entries(folder, "train")
        samples = [sample for entry in entries for sample in _samples(open_dataset(**entry))]
    if not samples:
        raise DataError(f"{source}: labels no image")
    return write_folder(samples, out)


def _samples(dataset: Any) -> Iterator[Sample]:
    for number in tqdm(range(len(dataset)), unit="image", disable=None):
        yield dataset[number]


@contextmanager
def _unpacked(source: Path, images: Path | None) -> Iterator[Path]:
    """The export as a folder or file that the readers know, with its images beside it."""
    if not source.exists():
        raise DataError(f"{source}: missing; give the export of the annotation tool")
    if source.suffix != ".zip" and images is None:
        yield source
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if source.suffix == ".zip":
            _extract(source, folder)
        else:
            shutil.copytree(source, folder, dirs_exist_ok=True) if source.is_dir() else shutil.copy(source, folder)
        if images is not None and not (folder / "images").exists():
            (folder / "images").symlink_to(images.resolve())
        tasks = next(iter(sorted(folder.glob("*.json")) + sorted(folder.glob("*.xml"))), folder)
        yield tasks if kind_of(folder) in (None, "labelled") and tasks != folder else folder


def _extract(source: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(source) as archive:
            archive.extractall(folder)  # zipfile itself removes absolute paths and ..
    except zipfile.BadZipFile as error:
        raise DataError(f"{source}: not a zip file ({error}); export it again") from error
