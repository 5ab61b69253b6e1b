"""Data sets by name, and several of them as one mixture with weights.

Which data sets lie in a folder: one, or one per child.

Repeat-factor sampling (Gupta et al. 2019, arXiv 1908.03195): images of rare classes are drawn more often.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np

from perception_models.data.cache import Samples, cached
from perception_models.data.files import DataError
from perception_models.data.labels import OBJECTS
from perception_models.data.sample import Sample


class Repeated:
    """A data set in which each image appears once or more often.

    threshold  share of images, above 0: an object class in fewer of them is rare; its images are repeated
               sqrt(threshold / share) times on average, an image with several classes as its rarest asks
    """

    def __init__(self, samples: Samples, threshold: float, seed: int = 0):
        if not 0 < threshold <= 1:
            raise DataError(f"repeat={threshold}: expected a share of the images, above 0 and at most 1")
        self.samples, self.files = samples, samples.files
        factors = repeat_factors(_presence(samples), threshold)
        times = np.floor(factors + np.random.default_rng(seed).random(len(factors))).astype(int)
        self._rows = np.repeat(np.arange(len(factors)), times)

    @property
    def names(self) -> Sequence[str]:
        return [self.samples.names[row] for row in self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[int(self._rows[index])]


def repeat_factors(presence: np.ndarray, threshold: float) -> np.ndarray:
    """(N,) how often each image should appear; presence (N, C) bool: which classes it holds."""
    share = presence.mean(0)
    factor = np.maximum(1, np.sqrt(threshold / np.maximum(share, 1e-9)))
    return np.where(presence, factor, 1).max(1, initial=1)


def _presence(samples: Samples) -> np.ndarray:
    """(N, C) bool; boxes that are ignored do not count."""
    presence = np.zeros((len(samples), len(OBJECTS)), bool)
    for index in range(len(samples)):
        boxes = samples[index].boxes
        if boxes is not None:
            presence[index, boxes.classes[~boxes.ignored]] = True
    return presence


# kind: module and class
KINDS = {
    "labelled": ("folder", "LabelledFolder"),
    "traffic_light_crops": ("traffic_lights", "LightCrops"),
    "bdd100k": ("bdd100k", "Bdd100k"),
    "kitti": ("kitti", "KittiObjects"),
    "coco": ("coco", "CocoDetection"),
    "tusimple": ("tusimple", "TuSimple"),
    "culane": ("culane", "CuLane"),
}
LABELS = ("boxes", "lanes", "drivable", "semantic", "scene")


def open_dataset(kind: str, path: Path | str, **options: Any) -> Samples:
    """A data set of this kind; DataError names the known kinds, or the option that it does not have."""
    try:
        return _class_of(kind)(path, **options)
    except TypeError as error:
        raise DataError(f"{path}: {error}; check the options of this data set") from error


def _class_of(kind: str) -> Any:
    if kind not in KINDS:
        raise DataError(f"unknown kind of data '{kind}': expected one of {', '.join(KINDS)}")
    module, name = KINDS[kind]
    return getattr(import_module(f"perception_models.data.readers.{module}"), name)


def _unusual(kind: str, options: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The options that are not what they would be anyway."""
    usual = signature(_class_of(kind)).parameters
    return sorted((name, value) for name, value in options.items() if value != usual[name].default)


class Only:
    """A data set whose samples keep some kinds of labels and forget the others."""

    def __init__(self, samples: Samples, labels: Sequence[str]):
        if unknown := set(labels) - set(LABELS):
            raise DataError(f"only={sorted(unknown)}: expected some of {', '.join(LABELS)}")
        self.samples, self.names, self.files = samples, samples.names, samples.files
        self._dropped = {name: {} if name == "scene" else None for name in LABELS if name not in labels}

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return replace(self.samples[index], **self._dropped)


@dataclass(frozen=True)
class Mix:
    """Data sets and how often an image of each is seen, as shares of an epoch."""

    parts: tuple[Samples, ...]
    weights: tuple[float, ...]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        part, index = key
        return self.parts[part][index]


def open_mix(
    entries: Sequence[Mapping[str, Any]], cache_dir: Path | str | None = None, cache_size: tuple[int, int] = (384, 640)
) -> Mix:
    """Data sets from a configuration: each entry has kind, path, weight (default: its number of images), only, options.

    repeat of an entry: images of rare objects are drawn more often, see data.repeat
    cache_dir  where decoded copies not larger than cache_size (height, width) are kept; None reads the files each time
    """
    if not entries:
        raise DataError("no data sets given: the list of training data is empty")
    parts, weights = zip(*(_open_entry(dict(entry), cache_dir, cache_size) for entry in entries))
    if min(weights) < 0 or sum(weights) <= 0:
        raise DataError(f"data weights {list(weights)}: expected none below 0 and one above")
    return Mix(parts, weights)


def _open_entry(entry: dict[str, Any], cache_dir: Path | str | None, size: tuple[int, int]) -> tuple[Samples, float]:
    given = repr(sorted(entry.items()))
    weight, only, repeat = (entry.pop(name, None) for name in ("weight", "only", "repeat"))
    try:
        kind, path = entry.pop("kind"), entry.pop("path")
    except KeyError as error:
        raise DataError(f"data entry {given} has no {error}") from error
    samples = open_dataset(kind, path, **entry)
    weight = float(len(samples) if weight is None else weight)
    if cache_dir is not None:
        samples = cached(samples, Path(cache_dir), size, repr(_unusual(kind, entry)))
    if repeat:
        samples = Repeated(samples, repeat)
    return (Only(samples, only) if only else samples), weight


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
