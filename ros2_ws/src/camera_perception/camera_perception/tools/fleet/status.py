"""State of a run for people: how far it is, what failed and why."""

from __future__ import annotations

import json
import time

from camera_perception.tools.fleet.store.query import connect
from camera_perception.tools.fleet.store.storage import Storage
from camera_perception.tools.fleet.work.replay import STATUS, read_run

FAILED_ROWS = 20


def status_text(storage: Storage) -> str:
    """Progress as the driver reported it last, totals of the store, and the units that failed."""
    run = read_run(storage)
    lines = [f"run {run['run']}: {run['model']['name']} {run['model']['version']} on {run['job']['engine']}"]
    if storage.exists(STATUS):
        lines.append(_driver(json.loads(storage.read(STATUS))))
    connection = connect(storage)
    totals = connection.execute(TOTALS).fetchone()
    done, bad, images, driven, cpu, size = totals
    times = f"{duration(driven)} of driving, {duration(cpu)} of CPU time"
    lines.append(f"{done} units ok, {bad} failed, {images} images, {times}, {size:.1f} MB")
    failed = connection.execute(FAILED).fetchall()
    lines += [f"failed: {name}{f' part {part}' if parts > 1 else ''}: {reason}" for name, part, parts, reason in failed]
    return "\n".join(lines)


TOTALS = """select count(*) filter (status = 'ok'), count(*) filter (status != 'ok'), coalesce(sum(frames), 0),
coalesce(sum(drive_seconds), 0), coalesce(sum(cpu_seconds), 0), coalesce(sum(bytes_out), 0) / 1e6
from runs"""
FAILED = f"""select recording, part, parts, reason from runs where status != 'ok'
order by recording, part limit {FAILED_ROWS}"""


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, by their number."""
    if seconds < 600:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 36_000 else f"{seconds / 3600:.1f} h"


def _driver(status: dict[str, object]) -> str:
    age = max(0.0, time.time() - float(str(status["updated"])))  # clocks may be skewed
    done = int(str(status["before"])) + int(str(status["done"])) + int(str(status["failed"]))
    eta = status["eta_seconds"]
    left = f", about {float(str(eta)):.0f} s left" if eta and status["state"] == "running" else ""
    where = f"driver {status['pid']} on {status['host']}"
    return f"{where}: {status['state']}, {done} of {status['total']} units{left} ({age:.0f} s ago)"
