"""Work of the data engine: `python -m camera_perception.tools.bench.fleet_work`. Needs `[fleet]`; three minutes.

Pieces of bags/demo_drive are replayed by the shipped model: in this process, by worker processes and by Ray; then many
units of one small picture each, with the memory of the driver. Two workers need two cores that have nothing else to do.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np

from camera_perception.core.text_table import text_table
from camera_perception.tools.fleet.demo import cut_drive
from camera_perception.tools.fleet.store.storage import StoreError, open_storage
from camera_perception.tools.fleet.work.local_pool import run_local
from camera_perception.tools.fleet.work.perform import DONE, Performer
from camera_perception.tools.fleet.work.ray_pool import run_ray
from camera_perception.tools.fleet.work.replay import open_run
from camera_perception.tools.fleet.work.units import Job, Unit, find_recordings, units_of
from camera_perception.tools.models.shipped import shipped_model

EVEN = 8  # units: two workers share evenly what follows their first ones, else one of them idles at the end
SMALL_UNITS = 1000
WARM = 100  # small units after which the driver has what it needs
DEADLINE = 600.0  # seconds
Pool = Callable[[Iterator[Unit], Job, str], Iterator[object]]


def bare(units: Iterator[Unit], job: Job, out: str) -> Iterator[object]:
    """The units in this process, without any pool."""
    performer = Performer(job, out)
    try:
        yield from map(performer.perform, units)
    finally:
        performer.close()


def local(workers: int) -> Pool:
    return lambda units, job, out: run_local(units, job, out, workers, DEADLINE)


def ray(workers: int) -> Pool:
    return lambda units, job, out: run_ray(units, job, out, workers, DEADLINE, "local")


POOLS: dict[str, tuple[int, Pool]] = {
    "this process": (1, bare),
    "one worker process": (1, local(1)),
    "two worker processes": (2, local(2)),
    "Ray, one actor": (1, ray(1)),
    "Ray, two actors": (2, ray(2)),
}


def seconds_per_unit(ends: list[float], workers: int) -> float:
    """Wall seconds per unit once each worker has its engine: from the end of its first unit on. ends: ascending."""
    return (ends[-1] - ends[workers - 1]) / (len(ends) - workers)


def timed(pool: Pool, sources: list[str], out: Path) -> tuple[float, list[float]]:
    """Wall seconds until all units of the sources are done, and when each ended."""
    job = open_run(open_storage(out), shipped_model(), Job("", "onnxruntime"))
    units = units_of(find_recordings(sources), job.run_id)
    started = perf_counter()
    ends = [perf_counter() - started for _ in pool(iter(units), job, str(out))]
    return perf_counter() - started, ends


def cpu_per_unit(out: Path) -> float:
    """Median CPU seconds of a unit in its worker: the first ones of each also warm up."""
    rows = (json.loads(path.read_text("utf-8")) for path in out.glob(f"{DONE}/*.json"))
    return float(np.median([row["cpu_seconds"] for row in rows]))


def memory() -> float:
    """MB of this process that are in RAM."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def write_small_units(folder: Path, count: int) -> list[str]:
    """Folders of one small picture each."""
    random = np.random.default_rng(0)
    for number in range(count):
        (folder / f"{number:04d}").mkdir(parents=True)
        picture = cv2.resize(random.integers(0, 255, (9, 16, 3)).astype(np.uint8), (160, 90))
        cv2.imwrite(str(folder / f"{number:04d}/0.png"), picture)
    return [str(folder)]


def memory_growth(folder: Path, workers: int) -> tuple[float, float]:
    """Memory of the driver after WARM small units and after all, MB."""
    sources, sizes = write_small_units(folder / "small", SMALL_UNITS), list[float]()

    def watched(units: Iterator[Unit], job: Job, out: str) -> Iterator[object]:
        for each in local(workers)(units, job, out):
            sizes.append(memory())
            yield each

    timed(watched, sources, folder / "small_run")
    return sizes[WARM - 1], sizes[-1]


def main(drive: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        drives = cut_drive(drive, folder / "drives", "front")
        sources = [str(each) for each in sorted(drives.iterdir())[:EVEN]]
        rows, first = [], 0.0
        for number, (title, (workers, pool)) in enumerate(POOLS.items()):
            try:
                wall, ends = timed(pool, sources, folder / f"run_{number}")
            except StoreError as error:  # the other figures are worth as much without it
                print(f"{title}: {error}")
                continue
            each = seconds_per_unit(ends, workers)
            first = first or each
            rows.append((title, wall, each, each / first, cpu_per_unit(folder / f"run_{number}")))
        print(text_table(("work", "wall s", "s per unit", "of this process", "CPU s of its worker"), rows))
        before, after = memory_growth(folder, 2)
        print(f"\nmemory of the driver after {WARM} and {SMALL_UNITS} small units: {before:.1f} and {after:.1f} MB")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "bags/demo_drive"))
