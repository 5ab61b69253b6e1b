"""`make check-nvidia`: NVIDIA's real parts from PyPI, without a GPU. Ends with a table of what was built for what."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import wheels

from camera_perception.tools.bench.report import put_into

REPOSITORY = Path(__file__).parents[2]
ENGINES = REPOSITORY / "ros2_ws/src/camera_perception/camera_perception/engines"
STUB = REPOSITORY / "typings/tensorrt.pyi"
HERE = Path(__file__).parent
ROWS = pytest.StashKey[list[tuple[str, str, str]]]()


def pytest_addoption(parser):
    parser.addoption(
        "--quick", action="store_true", help="two builds instead of all, and none where no source of theirs has changed"
    )

    parser.addoption("--page", type=Path, help="Markdown page whose <!-- nvidia --> block receives the table")


def pytest_configure(config):
    config.stash[ROWS] = []


@pytest.fixture
def report(request):
    """report(what, where, result) adds a row to the table at the end."""
    return lambda *row: request.config.stash[ROWS].append(row)


def pytest_terminal_summary(terminalreporter, config):
    if rows := config.stash[ROWS]:
        terminalreporter.section("checked with NVIDIA's own parts, without a GPU")
        widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
        for what, where, result in rows:
            terminalreporter.write_line(f"{what:{widths[0]}}  {where:{widths[1]}}  {result}")
        if page := config.getoption("--page"):
            put_into(page, markdown(rows), "nvidia")


def markdown(rows):
    """The rows of the terminal as a table of a page."""
    lines = [("what", "for", "result"), ("---", "---", "---"), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def run_once(script, *arguments, packages):
    """Run a script of this folder in a process of its own, with unpacked wheels first; the JSON that it prints."""
    path = os.pathsep.join([str(packages), str(HERE), *sys.path])
    done = subprocess.run(
        [sys.executable, HERE / script, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{script} ended with {done.returncode}:\n{done.stderr[-3000:]}"
    return json.loads(done.stdout.splitlines()[-1])


def fingerprint(*folders):
    """Hash over sources: what was built with them need not be built again."""
    digest = hashlib.sha256("\n".join((*wheels.RTX, sys.version)).encode())
    for path in sorted(path for folder in folders for path in folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(str(path.relative_to(REPOSITORY)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]
