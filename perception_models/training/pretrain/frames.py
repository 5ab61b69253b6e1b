"""Unlabelled images for pretraining, from data sets, folders of images, videos and recordings."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
from tqdm import tqdm

from camera_perception.core.errors import BadImage
from camera_perception.io.bag_reader import Bag, is_bag
from camera_perception.tools.replay.source import Source, image_files, open_source
from perception_models.data.registry import find_entries, kind_of

Entry = dict[str, str]


def training_entries(sources: Sequence[Path], folder: Path, period: float) -> list[Entry]:
    """`data.train` for these sources; frames of videos and recordings are written below `folder` once.

    period  seconds between extracted frames: neighbouring frames are too similar to be useful
    """
    return [entry for source in sources for entry in _entries(source, folder, period)]


def _entries(source: Path, folder: Path, period: float) -> list[Entry]:
    if source.is_dir() and not is_bag(source):
        if kind_of(source) is None and image_files(source):
            return [_link_folder(source, folder)]
        return find_entries(source, "train")
    topics: Iterable[str | None] = Bag(source).image_topics if source.exists() and is_bag(source) else (None,)
    return [_extract_frames(open_source(source, topic), folder, period) for topic in topics]


def _link_folder(source: Path, folder: Path) -> Entry:
    """A folder of images only, linked into the layout of DATA.md."""
    source = source.resolve()
    images = folder / source.name / "images"
    if images.exists() and images.resolve() != source:  # a different folder of the same name
        images = folder / "_".join(source.parts[1:]) / "images"
    images.parent.mkdir(parents=True, exist_ok=True)
    if not images.exists():
        images.symlink_to(source, target_is_directory=True)
    return {"kind": "labelled", "path": str(images.parent)}


def _extract_frames(source: Source, folder: Path, period: float) -> Entry:
    name = "".join(c if c.isalnum() else "_" for c in source.name).strip("_")
    target = folder / name
    if not target.exists():
        part = folder / f"{name}.part"
        shutil.rmtree(part, ignore_errors=True)
        _write(source, part / "images", period)
        part.replace(target)
    return {"kind": "labelled", "path": str(target)}


def _write(source: Source, images: Path, period: float) -> None:
    images.mkdir(parents=True)
    last = None
    for number, arrival in enumerate(
        tqdm(source.arrivals, source.name, source.length or None, unit="frame", disable=None)
    ):
        if last is None or arrival.stamp_ns - last >= round(period * 1e9):
            last = arrival.stamp_ns
            try:
                cv2.imwrite(str(images / f"{number:06d}.jpg"), arrival.read(), [cv2.IMWRITE_JPEG_QUALITY, 95])
            except BadImage as error:
                tqdm.write(f"{source.name}: {error}")
