"""Many random pictures, by several processes, each with its own engine."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tqdm import tqdm

from perception_models.render.folder import gather, is_done, write_shot
from perception_models.render.shot import PICTURES_PER_WORLD, Shot, random_shot


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
