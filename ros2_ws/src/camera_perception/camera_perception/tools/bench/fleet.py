"""Figures of docs/fleet.md: `python -m camera_perception.tools.bench.fleet`. Needs `[fleet]`; half a minute.

Stores are written by hand, so that no network runs: what is measured is planning, storing, querying and choosing.
"""

from __future__ import annotations

import heapq
import json
import resource
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from camera_perception.core.text_table import text_table
from camera_perception.tools.fleet.mining.choose import choose
from camera_perception.tools.fleet.store.query import compact, query
from camera_perception.tools.fleet.store.schema import DATA_TABLES, arrow_table, parquet_bytes, pyarrow, schema
from camera_perception.tools.fleet.store.storage import Storage, open_storage
from camera_perception.tools.fleet.work.replay import done_keys
from camera_perception.tools.fleet.work.units import Recording, units_of

UNITS, OBJECTS = 1000, 1160  # per unit
SQL = "select class_name, count(*), avg(score) from objects where reported group by 1 order by 2 desc"
CLASSES = ("car", "pedestrian", "truck", "traffic light")


def write_store(storage: Storage) -> None:
    """A finished run of UNITS units with OBJECTS objects each."""
    random = np.random.default_rng(0)
    empty = {table: parquet_bytes(arrow_table(table, [])) for table in DATA_TABLES}
    storage.write("run.json", json.dumps({"run": "r", "model": {}, "job": {}}).encode())
    for unit in planned():
        for table in DATA_TABLES:
            data = parquet_bytes(_objects(unit.key, random)) if table == "objects" else empty[table]
            (Path(storage.path(table))).mkdir(parents=True, exist_ok=True)
            Path(storage.path(f"{table}/{unit.key}.parquet")).write_bytes(data)
        Path(storage.path("done")).mkdir(exist_ok=True)
        row = {**unit.row, "status": "ok", "frames": 100}
        Path(storage.path(f"done/{unit.key}.json")).write_text(json.dumps(row))


def planned() -> list[Any]:
    return units_of([Recording(f"drive {n}", 1000 + n, f"{n:016d}") for n in range(UNITS)], "r")


def _objects(unit: str, random: np.random.Generator) -> Any:
    pa, count = pyarrow(), OBJECTS
    columns: dict[str, Any] = {name: [None] * count for name in schema("objects").names}
    columns |= {"unit": [unit] * count, "recording": [unit] * count, "camera": ["front"] * count}
    columns |= {"class_name": [CLASSES[i] for i in random.integers(0, len(CLASSES), count)]}
    columns |= {"reported": random.random(count) < 0.5, "frame": np.arange(count, dtype=np.int32) // 12}
    columns |= {name: random.random(count).astype(np.float32) for name in ("score", "x0", "y0", "x1", "y1")}
    return pa.table(columns, schema=schema("objects"))


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Wall seconds, CPU seconds, result."""
    wall, cpu = perf_counter(), _cpu()
    result = work()
    return perf_counter() - wall, _cpu() - cpu, result


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def simulate(workers: int, unit_seconds: float, dispatch_seconds: float, units: int = 0, seed: int = 0) -> float:
    """Efficiency, 0..1, of one driver that hands out one unit at a time: busy time of workers over their total time.

    A discrete-event model: a worker is free when its unit ends, and the driver needs dispatch_seconds per unit. Units
    last unit_seconds on average, log-normal with a spread of one half.
    """
    units = units or 20 * workers
    random = np.random.default_rng(seed)
    lengths = np.sort(random.lognormal(np.log(unit_seconds) - 0.125, 0.5, units))[::-1]  # the longest first
    free, driver, busy = [0.0] * workers, 0.0, 0.0
    for length in lengths.tolist():
        driver = max(heapq.heappop(free), driver) + dispatch_seconds
        heapq.heappush(free, driver + length)
        busy += length
    return busy / (max(free) * workers)


def main() -> None:
    rows: list[tuple[str, float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        storage = open_storage(folder)
        write_store(storage)
        work: dict[str, Callable[[], Any]] = {
            f"what is missing of {UNITS} finished units": lambda: {u.key for u in planned()} - done_keys(storage),
            f"query over {UNITS * OBJECTS / 1e6:.2f} million objects in {UNITS} files": lambda: query(storage, SQL),
            "compact": lambda: compact(storage),
            "the same query, compacted": lambda: query(storage, SQL),
            "choose 500 of 20,000 frames": _choose,
        }
        for name, each in work.items():
            wall, cpu, _ = timed(each)
            rows.append((name, wall, cpu))
    print(text_table(("work", "wall s", "CPU s"), rows))
    head = ("workers", "unit 10 s", "unit 60 s", "unit 600 s")
    sizes = (10, 100, 1000, 10_000)
    for dispatch in (0.002, 0.02):
        table = [(n, *(simulate(n, s, dispatch) for s in (10.0, 60.0, 600.0))) for n in sizes]
        print(f"\nefficiency of one driver with {dispatch * 1e3:g} ms per unit (model)\n{text_table(head, table)}")


def _choose() -> Any:
    random = np.random.default_rng(0)
    rows = [{"recording_id": str(n // 1000), "camera": "front", "stamp_ns": n * 10**8} for n in range(20_000)]
    vectors = random.normal(size=(20_000, 64)).astype(np.float32)
    return choose(rows, vectors, {"a": random.random(20_000), "b": random.random(20_000)}, 500, 2.0)


if __name__ == "__main__":
    main()
