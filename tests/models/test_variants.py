"""perception-models variants: both precisions beside the model, with metrics; kept, refused, replaced as promised."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from drawn import draw_folder
from live_drive import write_drive
from typer.testing import CliRunner

from camera_perception.core.errors import ModelError
from camera_perception.core.model_spec import load_spec
from camera_perception.engines.build.build import chosen_variants
from camera_perception.engines.tensorrt import variant
from perception_models.cli import app
from perception_models.compression import variants as subject
from perception_models.compression.variants import Recipe, write_variants

SHAPE = (96, 160)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return draw_folder(tmp_path_factory.mktemp("drawn"), 3, SHAPE)


@pytest.fixture
def model(tiny_model, tmp_path):
    return shutil.copytree(tiny_model, tmp_path / "model")


def recipe(scenes):
    return Recipe(scenes / "images", (scenes,), count=3, limit=3)


def test_one_command_writes_both_with_their_metrics_and_engines_prefer_fp16(model, scenes):
    given = ["--calibration", str(scenes / "images"), "--data", str(scenes), "--limit", "3", "--most-lost", "100"]
    done = CliRunner().invoke(app, ["variants", str(model), *given])
    assert done.exit_code == 0, done.output
    assert "int8: loses most in " in done.output
    original = load_spec(model)
    for precision in ("fp16", "int8"):
        made, metrics = load_spec(model / precision), json.loads((model / precision / "metrics.json").read_text())
        assert (made.precision, metrics["precision"]) == (precision, precision)
        assert metrics["quantized_from"] == original.onnx_sha256
        (found,) = metrics["datasets"].values()
        assert (found["images"], found["points_lost"].keys()) == (3, found["fp32"].keys())
        assert (
            json.loads((model / precision / "model.json").read_text())["metrics"]["points_lost"]
            == (metrics["points_lost"])
        )
        assert variant(original, precision).onnx_sha256 == made.onnx_sha256
    assert [spec.precision for spec in chosen_variants(original, "auto")] == ["fp16", "fp32"]
    assert not list(model.glob(".variants-*"))


def test_those_up_to_date_are_kept_and_a_new_model_makes_new_ones(model, scenes):
    def fresh():
        return [each.fresh for each in write_variants(model, recipe(scenes), most_lost=100)]

    assert fresh() == [True, True]
    assert fresh() == [False, False]
    (model / "int8" / "metrics.json").unlink()
    assert fresh() == [False, True]
    values = json.loads((model / "fp16" / "metrics.json").read_text())
    (model / "fp16" / "metrics.json").write_text(json.dumps({**values, "quantized_from": "0" * 64}))
    assert fresh() == [True, False]


def test_a_variant_that_loses_too_much_changes_nothing(model, scenes, monkeypatch):
    write_variants(model, recipe(scenes), most_lost=100)
    before = {path: path.read_bytes() for path in model.rglob("*") if path.is_file()}
    monkeypatch.setattr(subject, "worst", lambda losses, precision: {"map50": 1.5 if precision == "int8" else 0.0})
    with pytest.raises(ModelError, match="int8 variant loses more than 1 points in: map50 1.50. Nothing was changed"):
        write_variants(model, recipe(scenes), force=True)
    assert {path: path.read_bytes() for path in model.rglob("*") if path.is_file()} == before


def test_the_worst_data_set_counts():
    losses = [subject.Loss("a", 1, "iou", 0.5, {"int8": -0.5}), subject.Loss("b", 1, "iou", 0.5, {"int8": 0.25})]
    assert subject.worst(losses, "int8") == {"iou": 0.25}
    assert subject.worst(losses[:1], "int8") == {"iou": -0.5}


# Modules of requirements/models.txt and of this repository that no vehicle has.
NOT_ON_A_VEHICLE = (
    "av", "captum", "lightning_fabric", "moderngl", "omegaconf", "onnxscript", "optuna",
    "pycocotools", "rclpy", "safetensors", "tensorboard", "torch", "torch_pruning",
)  # fmt: skip
PROGRAM = """
import os, runpy, sys
# The renderer is not installed; its folder in the clone is on the path.
sys.path[:] = [each for each in sys.path if not os.path.isfile(os.path.join(each, "driving_scenes/__init__.py"))]
for name in {names}: sys.modules[name] = None  # importing it fails as if it were not installed
sys.argv = ["perception-models", *sys.argv[1:]]
runpy.run_module("perception_models", run_name="__main__")
"""


def test_onnx_on_a_vehicle_is_that_of_the_tests_with_the_packages_of_ubuntu_22_04(repository):
    """There NumPy is 1.21: newer versions of onnx would have pip replace it."""
    files = repository / "requirements/quantize.txt", repository / "tests/nvidia/ubuntu_22_04.txt"
    here, there = ({line for line in file.read_text().splitlines() if line.startswith("onnx==")} for file in files)
    assert here == there != set()


def test_quantize_runs_with_a_vehicle_s_packages_and_frames_of_a_recording(model, tmp_path, repository):
    bag = write_drive(tmp_path / "drive", 4)
    names = {line.partition("==")[0] for line in (repository / "requirements/vehicle.txt").read_text().split()}
    assert {"onnxruntime", "rosbags", "typer"} <= names
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(names=NOT_ON_A_VEHICLE), "quantize", str(model), "--precision", "int8",
         "--calibration", str(bag), "--camera", "front", "--count", "4"],
        capture_output=True, text=True, cwd=repository,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = load_spec(model / "int8")
    assert made.precision == "int8"
    assert np.load(made.reference)
