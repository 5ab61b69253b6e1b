"""One training of a search, in a process of its own, watched through its log and stopped when it is not worth it."""

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

Points = list[tuple[int, float]]


def watch(config: TrainConfig, folder: Path, hopeless: Callable[[Points], bool], objective: str) -> tuple[Points, bool]:
    """Train in `folder`, continuing what is there.

    hopeless  is given (step, objective of the network kept so far) whenever the training has validated
    returns   these points, and whether the training went to its end
    """
    with launch.alone(folder) as lock:
        if launch.finished(config, folder):
            return kept(folder, objective), True
        process = _started(launch.command(config, folder), folder, lock)
        try:
            return _follow(process, folder, hopeless, objective)
        finally:
            _end(process)


def _started(command: list[str], folder: Path, lock: int) -> subprocess.Popen[bytes]:
    with (folder / "output.txt").open("a") as output:
        return subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, pass_fds=[lock]
        )


def _follow(
    process: subprocess.Popen[bytes], folder: Path, hopeless: Callable[[Points], bool], objective: str
) -> tuple[Points, bool]:
    points: Points = []
    while (code := process.poll()) is None:
        time.sleep(0.2)
        if len(seen := kept(folder, objective)) > len(points) and hopeless(points := seen):
            return points, False
    return kept(folder, objective), code == 0


def _end(process: subprocess.Popen[bytes]) -> None:
    """The training and, with several devices, those it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def kept(folder: Path, objective: str) -> Points:
    """(step, objective) per validation, of the network that the run would keep if it ended there."""
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
    except (FileNotFoundError, ValueError):  # not there yet, or its last line is being written
        return []
