"""Data sets by name, and several of them as one mixture with weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

from perception_models.data.cache import Samples, cached
from perception_models.data.errors import DataError
from perception_models.data.repeat import Repeated
from perception_models.data.sample import Sample

# kind: module and class
KINDS = {
    "labelled": ("labelled", "LabelledFolder"),
    "traffic_light_crops": ("lights", "LightCrops"),
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
    return getattr(import_module(f"perception_models.data.{module}"), name)


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
