"""State of a run for people: how far it is, what failed and why."""

from __future__ import annotations

import json
import time

from camera_perception.core.text_table import text_table
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
    lines.append("{} units ok, {} failed, {} images, {:.2f} h of driving, {:.2f} core hours, {:.1f} MB".format(*totals))
    failed = connection.execute(FAILED).fetchall()
    if failed:
        lines += ["", text_table(("recording", "part", "reason"), failed)]
    return "\n".join(lines)


TOTALS = """select count(*) filter (status = 'ok'), count(*) filter (status != 'ok'), coalesce(sum(frames), 0),
coalesce(sum(drive_seconds), 0) / 3600, coalesce(sum(cpu_seconds), 0) / 3600, coalesce(sum(bytes_out), 0) / 1e6
from runs"""
FAILED = f"""select recording, part, reason from runs where status != 'ok'
order by recording, part limit {FAILED_ROWS}"""


def _driver(status: dict[str, object]) -> str:
    age = max(0.0, time.time() - float(str(status["updated"])))  # clocks may be skewed
    done = int(str(status["before"])) + int(str(status["done"])) + int(str(status["failed"]))
    eta = status["eta_seconds"]
    left = f", about {float(str(eta)):.0f} s left" if eta and status["state"] == "running" else ""
    where = f"driver {status['pid']} on {status['host']}"
    return f"{where}: {status['state']}, {done} of {status['total']} units{left} ({age:.0f} s ago)"
