"""Files and folders that a training needs, checked before it starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import perception_models
from perception_models.config import SettingsError
from perception_models.data.registry import find_entries
from perception_models.training.config import TrainConfig

PACKAGE = Path(perception_models.__file__).parent
OWN = PACKAGE / "configs/own.yaml"
SHIPPED = PACKAGE / "zoo/checkpoints/demo.safetensors"
CURE = (
    "give --data FOLDER and --val FOLDER with your own, or render some: "
    "`perception-models render dataset --out data/train --count 2000`"
)


def data_overrides(data: Sequence[Path], val: Sequence[Path], starts_anew: bool) -> list[str]:
    """Overrides for the data sets in folders; empty for what is not given.

    starts_anew  no configuration was given, so that own.yaml is used: with the shipped weights where they are
    """
    weights = [f"transfer.weights={SHIPPED}"] if starts_anew and SHIPPED.is_file() else []
    pairs = (("train", data), ("val", val))
    return weights + [f"data.{part}={_text(_entries(folders, part))}" for part, folders in pairs if folders]


def _entries(folders: Sequence[Path], split: str) -> list[dict[str, str]]:
    for folder in folders:
        if not folder.exists():
            raise SettingsError(f"--{'data' if split == 'train' else 'val'} {folder} does not exist: {CURE}")
    return [entry for folder in folders for entry in find_entries(folder, split)]


def _text(entries: list[dict[str, str]]) -> str:
    """A YAML list on one line; single quotes keep any path as it is."""
    inner = ("{" + ", ".join(f"{key}: {_quoted(value)}" for key, value in entry.items()) + "}" for entry in entries)
    return "[" + ", ".join(inner) + "]"


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def check_paths(config: TrainConfig) -> None:
    """SettingsError for the first path that does not exist, or when there is nothing to train on."""
    if not config.data.train and not config.data.lights:
        raise SettingsError(f"data.train is empty: {CURE}")
    for key, path, cure in _paths(config):
        if not path.exists():
            raise SettingsError(f"{key}: {path} does not exist: {cure}")


def _paths(config: TrainConfig) -> Iterator[tuple[str, Path, str]]:
    """(key, path, cure) of everything that is read."""
    for part in ("train", "val"):
        entries: list[dict[str, Any]] = getattr(config.data, part)
        for number, entry in enumerate(entries):
            if "path" in entry:
                yield f"data.{part}[{number}]", Path(entry["path"]), CURE
    if config.data.lights:
        yield "data.lights", Path(config.data.lights), "give the folder of traffic-light crops, or data.lights=null"
    for key, value in (("transfer.weights", config.transfer.weights), ("distill.teacher", config.distill.teacher)):
        if value:
            yield key, Path(value), f"give a checkpoint such as runs/run/best.safetensors, or {key}=null"
