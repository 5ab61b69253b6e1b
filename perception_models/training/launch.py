"""Training runs as steps of a larger job: in processes of their own, resumed if interrupted, skipped if finished."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path

import yaml

from perception_models.data.files import exclusive
from perception_models.training.config import TrainConfig
from perception_models.training.optimization.schedule import total_steps


def finished(config: TrainConfig, folder: Path) -> bool:
    """Whether the run in this folder has taken all its steps or stopped early."""
    try:
        state = json.loads((folder / "last.json").read_text("utf-8"))
    except FileNotFoundError:
        return False
    early = bool(config.patience) and state["worse"] >= config.patience
    return bool(early or state["step"] >= total_steps(config.stages, state["world"]))


def run(config: TrainConfig, folder: Path) -> Path:
    """Start, resume or skip a training; returns its best checkpoint.

    It runs in a process of its own, because with several devices the command line starts itself again.
    """
    with run_lock(folder) as lock:
        if not finished(config, folder):
            done = subprocess.run(command(config, folder), check=False, pass_fds=[lock])
            if done.returncode:
                raise RuntimeError(
                    f"the training in {folder} failed with exit code {done.returncode}: see its output above"
                )
    return folder / "best.safetensors"


def run_lock(folder: Path) -> AbstractContextManager[int]:
    """File descriptor of an exclusive lock on the folder of a run.

    A training may outlive its killed parent command; the command that resumes it waits here until it has ended.
    """
    return exclusive(folder / "lock")


def command(config: TrainConfig, folder: Path) -> list[str]:
    """Command line that starts or resumes this training; writes its configuration to config.yaml."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "config.yaml"
    settings.write_text(yaml.safe_dump(asdict(config), sort_keys=False), "utf-8")
    resume = ["--resume"] if (folder / "last.safetensors").exists() else []
    return [sys.executable, "-m", "perception_models", "train", "-c", str(settings), "-o", str(folder), *resume]
