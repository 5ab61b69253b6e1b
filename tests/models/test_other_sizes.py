"""The network of a model folder at other input sizes: the same in all but the size, also after a calibration."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from camera_perception.core.model_spec import load_other_sizes, load_spec
from camera_perception.engines.reference import read_reference
from perception_models.cli import app
from perception_models.compression.quantize import quantize
from perception_models.evaluation.model import open_model
from perception_models.evaluation.real.calibrate import Calibration, Row, write_calibration
from perception_models.export.export import ExportConfig, ExportError, export
from perception_models.export.other_sizes import export_sizes
from perception_models.network import PerceptionNet, of_size
from perception_models.training import checkpoint
from perception_models.training.config import StageConfig, TrainConfig

OTHER = "96x96"


def write_checkpoint(path: Path, seed: int, step: int) -> Path:
    torch.manual_seed(seed)
    net = PerceptionNet(of_size("t"))
    config = TrainConfig(stages=[StageConfig(height=64, width=128)])
    state = {"step": step, "network": asdict(net.config), "config": asdict(config)}
    checkpoint.save(path, {"average": net.state_dict()}, state)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("weights") / "best.safetensors", 0, 3)


@pytest.fixture(scope="module")
def exported(weights, tmp_path_factory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("model")
    export(weights, folder, ExportConfig(name="tiny", threshold={"lanes": 0.6}, references=2))
    return folder, export_sizes(weights, folder, [OTHER])


@pytest.fixture
def folder(exported, tmp_path) -> Path:
    return shutil.copytree(exported[0], tmp_path / "model")


def test_a_size_is_a_whole_model_folder_that_agrees_with_torch(exported):
    folder, lines = exported
    assert [line.startswith(f"{OTHER}: ") for line in lines] == [True] * 3
    assert "agrees with PyTorch" in lines[0]
    assert sorted(path.name for path in (folder / OTHER).iterdir()) == ["model.json", "model.onnx", "reference.npz"]
    spec, other = load_spec(folder), load_spec(folder / OTHER)
    assert (spec.other_sizes, other.other_sizes) == ((OTHER,), ())
    assert other.input.size == (96, 96)
    assert other.heads == spec.heads
    assert other.training["export"] == {**spec.training["export"], "height": 96, "width": 96}
    images = read_reference(folder / OTHER / "reference.npz").images
    assert images.shape == (2, 96, 96, 3)
    np.testing.assert_allclose(images.mean(), read_reference(folder / "reference.npz").images.mean(), atol=10)


def test_the_predictor_uses_the_size_that_fits(exported):
    with open_model(exported[0]) as predict:
        for height, width, used in ((64, 128, (64, 128)), (96, 96, (96, 96)), (64, 128, (64, 128))):
            seen = predict(np.full((height, width, 3), 90, np.uint8))
            assert predict._buffer.shape[1:3] == used
            assert seen.drivable.ids.shape[0] / seen.drivable.ids.shape[1] == pytest.approx(height / width)


def test_calibration_reaches_every_size(folder):
    row = Row("car", 9, (1.5, 0.25), 0.35, 0.1, 0.01, 0.9, 0.8)
    write_calibration(folder, Calibration([row], {}, {}, {}), folder)
    options = [load_spec(each).head("objects").options for each in (folder, folder / OTHER)]
    assert options[0] == options[1]
    assert options[1]["thresholds"] == {"car": 0.35}
    load_other_sizes(load_spec(folder))


def test_sizes_that_are_not_given_again_are_removed(folder, weights):
    export_sizes(weights, folder, ["64x64"])
    assert load_spec(folder).other_sizes == ("64x64",)
    assert not (folder / OTHER).exists()


@pytest.mark.parametrize("size", ["96", "96x", "x96", "96x96x96", "-96x96", "../96x96", "100x96", "0x96"])
def test_a_size_that_no_network_takes_is_refused_before_anything_is_written(folder, weights, size):
    before = json.loads((folder / "model.json").read_text())
    with pytest.raises(ExportError, match="WIDTHxHEIGHT|multiples of 32"):
        export_sizes(weights, folder, ["64x64", size])
    assert json.loads((folder / "model.json").read_text()) == before
    assert not (folder / "64x64").exists()


def test_another_checkpoint_is_refused(folder, tmp_path):
    with pytest.raises(ExportError, match="was not exported from .*: give its checkpoint"):
        export_sizes(write_checkpoint(tmp_path / "other.safetensors", 1, 4), folder, [OTHER])


def test_a_variant_of_the_model_has_one_size(folder):
    assert load_spec(quantize(folder, "fp16").folder).other_sizes == ()


def test_the_command_exports_sizes(weights, tmp_path):
    command = ["export", "--checkpoint", str(weights), "--out", str(tmp_path / "model"), "--other-size"]
    assert CliRunner().invoke(app, [*command, "100x96"]).exit_code == 1
    assert not (tmp_path / "model").exists()
    done = CliRunner().invoke(app, [*command, OTHER])
    assert done.exit_code == 0, done.output
    assert f"{OTHER}: onnxruntime cpu: agrees with PyTorch" in done.output
    assert [spec.input.size for spec in load_other_sizes(load_spec(tmp_path / "model"))] == [(96, 96)]
