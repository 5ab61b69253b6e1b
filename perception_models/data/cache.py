"""Cache of decoded, downscaled images in one memory-mapped file, so that training spends no time on loading.

A cache is a folder named by a hash of its sources. It is written under a temporary name and renamed when complete, so
a killed run leaves no incomplete cache. Changed label files or images change the hash and thus make a new cache.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from perception_models.data.files import DataError, exclusive
from perception_models.data.labels import OBJECTS, TEN
from perception_models.data.sample import Boxes, Lane, Lanes, Sample
from perception_models.data.warp import letterbox, warp

TOLERATED = 0.02  # fraction of the samples of a data set that may be unusable
FORMAT = 2  # increase when the file format below changes


class Samples(Protocol):
    """Any data set: samples by index, their names, and the files they come from."""

    @property
    def names(self) -> Sequence[str]: ...
    @property
    def files(self) -> Sequence[Path]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Sample: ...


def cached(samples: Samples, folder: Path, size: tuple[int, int], tag: str = "") -> Cached:
    """The samples, downscaled to at most `size` (height, width), from a cache below `folder`; missing ones are made.

    Unusable samples are left out and logged; DataError if more than TOLERATED of them are.

    tag  whatever else determines the content, such as the options of the data set
    """
    path = Path(folder) / _key(samples, size, tag)
    with exclusive(path.with_suffix(".lock")):  # of two processes that need the same cache, one makes it
        if not path.is_dir():
            _write(samples, path, size)
    return Cached(path)


class Cached:
    """Samples read from a cache; images and masks are copies that may be modified."""

    def __init__(self, path: Path):
        self.path = path
        self._rows = (path / "index.jsonl").read_bytes().splitlines()  # parsed on access: opening is instant
        self._bytes = np.memmap(path / "pixels.bin", np.uint8, "r")
        self.names: list[str] = json.loads((path / "names.json").read_text("utf-8"))

    @property
    def files(self) -> list[Path]:
        return [self.path / "index.jsonl"]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:
        row = json.loads(self._rows[index])
        pixels = {name: self._array(*where) for name, where in row.pop("pixels").items()}
        return _sample(row, pixels)

    def _array(self, start: int, shape: list[int]) -> np.ndarray:
        return np.array(self._bytes[start : start + int(np.prod(shape))]).reshape(shape)


def _write(samples: Samples, path: Path, size: tuple[int, int]) -> None:
    part = path.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    names, skipped = [], Skipped(len(samples))
    with (part / "pixels.bin").open("wb") as pixels, (part / "index.jsonl").open("w") as rows:
        for index, name in enumerate(tqdm(samples.names, desc=f"caching {path.name}", unit="image", disable=None)):
            try:
                sample = samples[index]
            except DataError as error:
                skipped.add(index, error)
                continue
            rows.write(json.dumps(_row(_downscale(sample, size), pixels)) + "\n")
            names.append(name)
    (part / "names.json").write_text(json.dumps(names))
    part.rename(path)


class Skipped:
    """Unusable samples of a data set: each is logged once, and more than TOLERATED of them raise DataError."""

    def __init__(self, total: int):
        self.limit, self.total, self.rows = int(total * TOLERATED), total, set[int]()

    def add(self, row: int, error: DataError) -> None:
        if row in self.rows:
            return
        self.rows.add(row)
        if len(self.rows) > self.limit:
            if self.limit == 0:
                raise error
            raise DataError(f"more than {self.limit} of {self.total} samples are unusable; run check-data; {error}")
        logging.getLogger(__name__).warning("skipped: %s", error)


def _downscale(sample: Sample, size: tuple[int, int]) -> Sample:
    """Fit into `size` without padding, keeping the aspect ratio."""
    scale = min(1.0, size[0] / sample.size[0], size[1] / sample.size[1])
    target = round(sample.size[0] * scale), round(sample.size[1] * scale)
    return sample if scale == 1 else warp(sample, letterbox(sample.size, target), target)


def _row(sample: Sample, pixels: Any) -> dict[str, Any]:
    where = {}
    for name in ("image", "drivable", "semantic"):
        array = getattr(sample, name)
        if array is not None:
            where[name] = pixels.tell(), array.shape
            pixels.write(np.ascontiguousarray(array).tobytes())
    return {
        "name": sample.name,
        "pixels": where,
        "boxes": None if sample.boxes is None else {k: _listed(v) for k, v in asdict(sample.boxes).items()},
        "lines": sample.lanes and [{**vars(line), "points": _listed(line.points)} for line in sample.lanes.lines],
        "positions": sample.lanes and sorted(sample.lanes.labelled_positions),
        "scene": sample.scene,
        "intrinsics": _listed(sample.intrinsics),
        "base_from_camera": _listed(sample.base_from_camera),
        "attributes": sample.attributes,
        "known_classes": sorted(sample.known_classes),
    }


def _listed(array: np.ndarray | None) -> list[Any] | None:
    if array is None:
        return None
    values: list[Any] = (array.astype(float).round(2) if array.dtype == np.float32 else array).tolist()
    return values


def _sample(row: dict[str, Any], pixels: dict[str, Any]) -> Sample:
    boxes, lines, positions = (row.pop(name) for name in ("boxes", "lines", "positions"))
    row["known_classes"] = frozenset(row["known_classes"])
    for name in ("intrinsics", "base_from_camera"):
        row[name] = None if row[name] is None else np.array(row[name])
    return Sample(
        **row,
        **pixels,
        boxes=None if boxes is None else Boxes(**boxes),
        lanes=None if lines is None else Lanes([Lane(**line) for line in lines], frozenset(positions)),
    )


def _key(samples: Samples, size: tuple[int, int], tag: str) -> str:
    objects = () if OBJECTS == TEN else OBJECTS
    digest = hashlib.sha256(repr((FORMAT, size, tag, list(samples.names), *objects)).encode())
    for path in samples.files:
        stat = path.stat()
        digest.update(f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]
