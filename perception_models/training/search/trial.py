"""One training of a search, in a process of its own, monitored through its log and stopped early if it is pruned."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from perception_models.training import launch
from perception_models.training.config import TrainConfig
from perception_models.training.log import read_log

POLL_INTERVAL = 0.2  # seconds
Points = list[tuple[int, float]]


def train_trial(
    config: TrainConfig, folder: Path, should_stop: Callable[[Points], bool], objective: str
) -> tuple[Points, bool]:
    """Train in `folder`, resuming a previous training there.

    should_stop  called after every validation with all points: (step, objective of the best network so far)
    returns      the points, and whether the training was completed
    """
    with launch.run_lock(folder) as lock:
        if launch.finished(config, folder):
            return objective_history(folder, objective), True
        process = _start(launch.command(config, folder), folder, lock)
        try:
            return _monitor(process, folder, should_stop, objective)
        finally:
            _terminate(process)


def _start(command: list[str], folder: Path, lock: int) -> subprocess.Popen[bytes]:
    with (folder / "output.txt").open("a") as output:
        return subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, pass_fds=[lock]
        )


def _monitor(
    process: subprocess.Popen[bytes], folder: Path, should_stop: Callable[[Points], bool], objective: str
) -> tuple[Points, bool]:
    points: Points = []
    while (code := process.poll()) is None:
        time.sleep(POLL_INTERVAL)
        history = objective_history(folder, objective)
        if len(history) > len(points) and should_stop(points := history):
            return points, False
    return objective_history(folder, objective), code == 0


def _terminate(process: subprocess.Popen[bytes]) -> None:
    """Stop the training and, with several devices, the processes it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def objective_history(folder: Path, objective: str) -> Points:
    """(step, objective of the best network until then) of every validation."""
    points, best, value = [], float("-inf"), 0.0
    for row in _rows(folder / "log.jsonl"):
        if objective in row:
            if row.get("val/score", best) >= best:
                best, value = row.get("val/score", best), float(row[objective])
            points.append((int(row["step"]), value))
    return points


def _rows(log: Path) -> list[dict[str, Any]]:
    try:
        return read_log(log)
    except (FileNotFoundError, ValueError):  # does not exist yet, or its last line is being written
        return []
