"""Runs as steps of something larger: each in processes of its own, continued where it stopped, done only once."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import yaml

from perception_models.training.config import TrainConfig
from perception_models.training.step import total_steps


def finished(config: TrainConfig, folder: Path) -> bool:
    """Has the run in this folder taken all its steps, or stopped early?"""
    try:
        state = json.loads((folder / "last.json").read_text("utf-8"))
    except FileNotFoundError:
        return False
    early = bool(config.patience) and state["worse"] >= config.patience
    return early or state["step"] >= total_steps(config.stages, state["world"])


def run(config: TrainConfig, folder: Path) -> Path:
    """Train, or continue, or do nothing when it is done; the best checkpoint.

    In processes of its own, because several devices start the whole command line again.
    """
    with alone(folder) as lock:
        if not finished(config, folder):
            done = subprocess.run(command(config, folder), check=False, pass_fds=[lock])
            if done.returncode:
                raise RuntimeError(
                    f"the training in {folder} ended with code {done.returncode}: see its messages above"
                )
    return folder / "best.safetensors"


@contextmanager
def alone(folder: Path) -> Iterator[int]:
    """The descriptor of a lock on a run's folder, held by whoever trains there.

    A training outlives the command that was killed; the one that goes on waits here for its end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


def command(config: TrainConfig, folder: Path) -> list[str]:
    """The words that start this training or continue it; its configuration is left in config.yaml."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "config.yaml"
    settings.write_text(yaml.safe_dump(asdict(config), sort_keys=False), "utf-8")
    resume = ["--resume"] if (folder / "last.safetensors").exists() else []
    return [sys.executable, "-m", "perception_models", "train", "-c", str(settings), "-o", str(folder), *resume]
