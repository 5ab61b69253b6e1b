"""The library's and the TensorRT tests on Python 3.10 with the versions of Ubuntu 22.04, as JetPack 6 has them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import wheels
from conftest import HERE, REPOSITORY

REQUIREMENTS = HERE / "ubuntu_22_04.txt"
# PyYAML 5.4.1 has no wheel for Python 3.10, and no newer Cython compiles it.
FOR_PYYAML = ("cython<3", "setuptools<70", "wheel")
PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")


def python310():
    """A Python 3.10 of the machine, of pyenv, or of uv; None when there is none."""
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = [str(path) for path in sorted(versions.glob("3.10.*/bin/python"))]
    if (uv := shutil.which("uv")) is not None:
        done = subprocess.run([uv, "python", "find", "3.10"], capture_output=True, text=True)
        found += [done.stdout.strip()] if done.returncode == 0 else []
    candidates = [*found, shutil.which("python3.10")]
    return next((path for path in candidates if path and works(path)), None)


def works(path):
    """pyenv's shim exists for versions that are not chosen, too."""
    code = "import sys, venv; sys.exit(sys.version_info[:2] != (3, 10))"
    return subprocess.run([path, "-c", code], capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def python():
    """The interpreter of an environment that is made once and kept."""
    base = python310()
    if base is None:
        pytest.skip("no Python 3.10: install it with pyenv, or `uv python install 3.10`")
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16]
    folder = wheels.CACHE / f"ubuntu-22.04-{digest}"
    python = folder / "bin/python"
    if not (folder / "complete").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([base, "-m", "venv", folder], check=True)
        subprocess.run([python, *PIP, *FOR_PYYAML], check=True)
        subprocess.run([python, *PIP, "--no-build-isolation", "-r", REQUIREMENTS], check=True)
        (folder / "complete").touch()
    return python


def test_the_library_and_its_tests_run_there(python, report):
    folders = (REPOSITORY / "ros2_ws/src/camera_perception", REPOSITORY / "tests/library")
    command = [python, "-m", "pytest", "-q", "-n", "2", "-c", os.devnull, f"--rootdir={REPOSITORY}"]
    options = ["--import-mode=importlib", "-p", "no:cacheprovider", "-p", "no:warnings", "--timeout=600"]
    done = subprocess.run(
        [*command, *options, REPOSITORY / "tests/library"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders)), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    lines = done.stdout.splitlines()
    report("tests/library", "Ubuntu 22.04, Python 3.10", lines[-1] if lines else done.stderr[-300:])
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    assert done.returncode == 0, "\n".join([*failed, *lines[-5:], done.stderr[-1000:]])
