"""CPU cost of a frame around a TensorRT engine, measured without a GPU against the tests' stand-in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from camera_perception.tools.bench.report import Cell, Table

SCRIPT = Path("tests/library/tensorrt_host_cost.py")
NAMES = {
    "microseconds": "CPU us",
    "python_calls": "Python calls",
    "cuda_calls": "CUDA calls",
    "cuda_allocations": "CUDA allocations",
    "objects_kept": "objects kept",
}


def measure_tensorrt_host(repository: Path) -> dict[str, dict[str, float]]:
    """Metrics per frame by way of running an engine; empty where the tests or their packages are missing."""
    if not (repository / SCRIPT).is_file():
        return {}
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(repository / SCRIPT), "--json"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else {}


def tensorrt_host_table(results: dict[str, dict[str, float]]) -> Table:
    rows: list[list[Cell]] = [[way, *(values[name] for name in NAMES)] for way, values in results.items()]
    return Table(
        "Around a TensorRT engine, per frame",
        ("way", *NAMES.values()),
        rows,
        "This project's own code alone, under a profiler, which about doubles the time; a stand-in replaces TensorRT, "
        "CUDA and the network.",
    )
