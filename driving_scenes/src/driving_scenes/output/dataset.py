"""Many random pictures, by several processes, each with its own engine.

Writes labelled folders (perception_models/DATA.md) picture by picture, so that a stopped run goes on.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from driving_scenes.labels.objects import Labels
from driving_scenes.output.shot import PICTURES_PER_WORLD, Shot, random_shot

PARTS = "parts"  # one JSON file per finished picture, until the lists are made of them
PNG = [cv2.IMWRITE_PNG_COMPRESSION, 3]


def is_done(folder: Path, name: str) -> bool:
    """Whether a picture and everything about it is already there."""
    return (folder / PARTS / f"{name}.json").is_file()


def write_shot(folder: Path, name: str, shot: Shot, sequence: str = "", stamp_ns: int = 0) -> None:
    """Store one picture; its part file comes last and says that all of it is there."""
    for place in ("images", "labels/drivable/masks", "labels/sem_seg/masks", PARTS):
        (folder / place).mkdir(parents=True, exist_ok=True)
    labels = shot.labels
    quality = [cv2.IMWRITE_JPEG_QUALITY, shot.lens.quality]
    cv2.imwrite(str(folder / "images" / f"{name}.jpg"), np.ascontiguousarray(shot.image[..., ::-1]), quality)
    cv2.imwrite(str(folder / "labels/drivable/masks" / f"{name}.png"), labels.drivable, PNG)
    cv2.imwrite(str(folder / "labels/sem_seg/masks" / f"{name}.png"), labels.semantic, PNG)
    part = folder / PARTS / f"{name}.json"
    part.with_suffix(".tmp").write_text(
        json.dumps(record(f"{name}.jpg", labels, sequence, stamp_ns), separators=(",", ":"))
    )
    part.with_suffix(".tmp").rename(part)


def record(image: str, labels: Labels, sequence: str, stamp_ns: int) -> dict:
    """The three entries of one picture: boxes, lanes and truth."""
    frame = {"name": image, "attributes": labels.attributes}
    truth = {
        "name": image,
        "camera": labels.truth["camera"],
        "stamp_ns": stamp_ns,
        "sequence": sequence,
        **labels.truth,
    }
    return {"det": {**frame, "labels": labels.boxes}, "lane": {**frame, "labels": labels.lanes}, "truth": truth}


def gather(folder: Path) -> int:
    """Make det.json, lane.json and truth.jsonl of all parts; returns how many pictures there are."""
    records = [json.loads(p.read_text()) for p in sorted((folder / PARTS).glob("*.json"))]
    for kind, path in (("det", "labels/det_20/det.json"), ("lane", "labels/lane/lane.json")):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(json.dumps([r[kind] for r in records], separators=(",", ":")))
    (folder / "truth").mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(r["truth"], separators=(",", ":")) + "\n" for r in records)
    (folder / "truth/truth.jsonl").write_text("".join(lines))
    return len(records)


def make_dataset(
    folder: Path,
    count: int,
    seed: int,
    size: tuple[int, int],
    workers: int = 1,
    kind: str | None = None,
    around: bool = False,
) -> int:
    """Write `count` pictures of the dataset `seed`; those already there are kept. Returns how many the folder holds."""
    folder.mkdir(parents=True, exist_ok=True)
    todo = [i for i in range(count) if not is_done(folder, name(seed, i))]
    groups: dict[int, list[int]] = {}
    for i in todo:
        groups.setdefault(i // PICTURES_PER_WORLD, []).append(i)
    make = partial(_make, folder, partial(random_shot, seed, size=size, kind=kind, around=around), seed)
    with tqdm(total=count, initial=count - len(todo), unit="image", smoothing=0.05) as bar:
        for done in _each(make, list(groups.values()), workers):
            bar.update(done)
    return gather(folder)


def name(seed: int, index: int) -> str:
    return f"{seed:05d}_{index:06d}"


def _make(folder: Path, shoot: Callable[[int], Shot], seed: int, indices: list[int]) -> int:
    for index in indices:
        write_shot(folder, name(seed, index), shoot(index))
    return len(indices)


def _each(make, groups: list[list[int]], workers: int):
    if workers <= 1:
        yield from map(make, groups)
        return
    with multiprocessing.get_context("spawn").Pool(workers, _one_thread) as pool:
        yield from pool.imap_unordered(make, groups)


def _one_thread() -> None:
    import cv2

    cv2.setNumThreads(1)
    os.nice(5)
