"""The tests for a machine with a GPU, run here with fakes of TensorRT and CUDA."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("options", [[], ["-p", "fake_machine"]], ids=["no GPU", "a GPU"])
def test_one_command_prints_what_passed(repository, tmp_path, options):
    paths = [repository / "tests/library", repository / "ros2_ws/src/camera_perception"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "XDG_CACHE_HOME": str(tmp_path)}
    env["CUDA_VISIBLE_DEVICES"] = ""  # a real GPU has its own run of these tests
    command = [sys.executable, "-m", "pytest", *options, "-p", "no:cacheprovider", str(repository / "tests/vehicle")]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    summary = done.stdout.partition("on this machine")[2]
    if options:
        assert "skipped" not in summary
        assert "passed   every variant reproduces its reference with and without graphs" in summary
        assert "GPU: NVIDIA Orin, compute capability 8.7, CUDA 12 driver" in summary
        assert "ms per batch of 1" in summary
    else:
        assert "skipped  a cancelled build leaves no engine" in summary
