"""Write labelled folders of random images, in several processes with a renderer each.

Every finished image has a record file, so that an interrupted run can be resumed.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from driving_scenes.labels.objects import Labels
from driving_scenes.output.shot import IMAGES_PER_WORLD, Shot, random_shot

RECORDS = "parts"  # folder with one JSON file per finished image, from which the label files are merged
DRIVABLE_MASKS, SEMANTIC_MASKS = "labels/drivable/masks", "labels/sem_seg/masks"
BOXES, LANES, TRUTH = "labels/det_20/det.json", "labels/lane/lane.json", "truth/truth.jsonl"
PNG = [cv2.IMWRITE_PNG_COMPRESSION, 3]


def make_dataset(
    folder: Path,
    count: int,
    seed: int,
    size: tuple[int, int],
    workers: int = 1,
    kind: str | None = None,
    around: bool = False,
) -> int:
    """Write images 0 to count - 1 of dataset `seed`, keeping those already there. Returns how many the folder holds.

    size, kind and around are those of `random_shot`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    todo = [i for i in range(count) if not is_done(folder, name(seed, i))]
    groups: dict[int, list[int]] = {}
    for i in todo:
        groups.setdefault(i // IMAGES_PER_WORLD, []).append(i)
    make = partial(_make, folder, partial(random_shot, seed, size=size, kind=kind, around=around), seed)
    with tqdm(total=count, initial=count - len(todo), unit="image", smoothing=0.05, disable=None) as bar:
        for done in _run(make, list(groups.values()), workers):
            bar.update(done)
    return merge_records(folder)


def name(seed: int, index: int) -> str:
    """Name of an image without its suffix."""
    return f"{seed:05d}_{index:06d}"


def is_done(folder: Path, name: str) -> bool:
    """Whether an image and all its labels are already written."""
    return (folder / RECORDS / f"{name}.json").is_file()


def write_shot(folder: Path, name: str, shot: Shot, sequence: str = "", stamp_ns: int = 0) -> None:
    """Write one image with its masks; its record comes last and marks it as complete."""
    for directory in ("images", DRIVABLE_MASKS, SEMANTIC_MASKS, RECORDS):
        (folder / directory).mkdir(parents=True, exist_ok=True)
    labels = shot.labels
    quality = [cv2.IMWRITE_JPEG_QUALITY, shot.lens.quality]
    cv2.imwrite(str(folder / "images" / f"{name}.jpg"), np.ascontiguousarray(shot.image[..., ::-1]), quality)
    cv2.imwrite(str(folder / DRIVABLE_MASKS / f"{name}.png"), labels.drivable, PNG)
    cv2.imwrite(str(folder / SEMANTIC_MASKS / f"{name}.png"), labels.semantic, PNG)
    path = folder / RECORDS / f"{name}.json"
    path.with_suffix(".tmp").write_text(_json(_record(f"{name}.jpg", labels, sequence, stamp_ns)))
    path.with_suffix(".tmp").rename(path)


def _record(image: str, labels: Labels, sequence: str, stamp_ns: int) -> dict[str, Any]:
    """Entries of one image for the three label files."""
    frame = {"name": image, "attributes": labels.attributes}
    truth = {
        "name": image,
        "camera": labels.truth["camera"],
        "stamp_ns": stamp_ns,
        "sequence": sequence,
        **labels.truth,
    }
    return {"det": {**frame, "labels": labels.boxes}, "lane": {**frame, "labels": labels.lanes}, "truth": truth}


def merge_records(folder: Path) -> int:
    """Merge all records into det.json, lane.json and truth.jsonl; returns the number of images."""
    records = [json.loads(p.read_text()) for p in sorted((folder / RECORDS).glob("*.json"))]
    for path in (BOXES, LANES, TRUTH):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / BOXES).write_text(_json([r["det"] for r in records]))
    (folder / LANES).write_text(_json([r["lane"] for r in records]))
    (folder / TRUTH).write_text("".join(_json(r["truth"]) + "\n" for r in records))
    return len(records)


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _make(folder: Path, shoot: Callable[[int], Shot], seed: int, indices: list[int]) -> int:
    for index in indices:
        write_shot(folder, name(seed, index), shoot(index))
    return len(indices)


def _run(make: Callable[[list[int]], int], groups: list[list[int]], workers: int) -> Iterator[int]:
    """Results of `make` for every group, in this process or in several."""
    if workers <= 1:
        yield from map(make, groups)
        return
    with multiprocessing.get_context("spawn").Pool(workers, _start_worker) as pool:
        yield from pool.imap_unordered(make, groups)


def _start_worker() -> None:
    cv2.setNumThreads(1)
    os.nice(5)
