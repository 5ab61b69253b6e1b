"""The tests for a machine with a GPU, run here with fakes of TensorRT and CUDA: their verdict and exit status."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from camera_perception.engines.reference import read_reference, write_reference

A_GPU = ["-p", "fake_machine"]


@pytest.fixture
def run(repository, tmp_path):
    """run(*options) -> exit status and the summary."""

    def run(*options):
        paths = [repository / "tests/library", repository / "ros2_ws/src/camera_perception"]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "XDG_CACHE_HOME": str(tmp_path)}
        env["CUDA_VISIBLE_DEVICES"] = ""  # a real GPU has its own run of these tests
        command = [
            sys.executable,
            "-m",
            "pytest",
            *options,
            "-p",
            "no:cacheprovider",
            str(repository / "tests/vehicle"),
        ]
        done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=250)
        return done.returncode, done.stdout.partition("on this machine")[2]

    return run


def rows(summary):
    """Variant -> cells of the table."""
    cells = [line.split("|")[1:-1] for line in summary.splitlines() if line.startswith("| fp")]
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in cells}


def test_without_a_gpu_every_skip_says_why_and_the_status_is_no_success(run):
    status, summary = run()
    assert status == 3
    skipped = [line for line in summary.splitlines() if line.startswith("skipped ")]
    assert len(skipped) > 10
    assert all("pip install" in line or "nvidia-smi" in line for line in skipped)
    assert "verdict: no engine was built and run on this machine" in summary


def test_an_engine_that_was_built_and_run_is_a_success_with_figures(run):
    status, summary = run(*A_GPU)
    assert status == 0, summary
    built, parity, half, most, memory, reason = rows(summary)["fp32"]
    assert built.startswith("yes")
    assert parity.startswith("passed")
    assert 0 < float(half) <= float(most)
    assert int(memory) >= 0
    assert reason == ""
    assert "GPU: NVIDIA Orin, compute capability 8.7, CUDA 12 driver" in summary
    assert "skipped  the variant is built and passes its gate[int8]" in summary
    assert "has no int8 variant" in summary
    assert "verdict: fp32 built" in summary


def test_an_unfit_variant_is_a_failure_that_leaves_the_others_alone(run, tiny_model, tmp_path):
    model = shutil.copytree(tiny_model, tmp_path / "model")
    shutil.copytree(tiny_model, model / "fp16")
    data = json.loads((model / "fp16/model.json").read_text("utf-8")) | {"precision": "fp16"}
    (model / "fp16/model.json").write_text(json.dumps(data), "utf-8")
    reference = read_reference(model / "reference.npz")
    wrong = {name: np.roll(array, 1, 0) for name, array in reference.outputs.items()}
    write_reference(model / "fp16/reference.npz", reference.images, wrong)
    status, summary = run(*A_GPU, "--model", str(model))
    assert status == 1
    table = rows(summary)
    assert table["fp16"][0] == "no"
    assert "does not reproduce the reference" in table["fp16"][-1]
    assert table["fp32"][1].startswith("passed")
    assert "passed   the variant reproduces its reference with and without graphs[fp32]" in summary
    assert "verdict: fp32 built" in summary
