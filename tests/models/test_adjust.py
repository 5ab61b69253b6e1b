"""Logit adjustment of the semantic map, and the drivable area that agrees with it."""

from __future__ import annotations

from dataclasses import asdict

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from camera_perception.core.errors import CheckpointError
from perception_models.cli import app
from perception_models.compression.adjust import BIAS, LEAST, adjust, class_shares
from perception_models.config import SettingsError
from perception_models.data.labels import SEMANTIC
from perception_models.network import PerceptionNet, of_size
from perception_models.network.export_graph import ExportGraph, on_road
from perception_models.training import checkpoint
from perception_models.training.config import TrainConfig

ROAD, SIDEWALK = SEMANTIC.index("road"), SEMANTIC.index("sidewalk")


@pytest.fixture
def street(tmp_path):
    """A labelled folder: three quarters road, a quarter sidewalk, some of both unlabelled."""
    mask = np.full((40, 40), ROAD, np.uint8)
    mask[:, 30:], mask[:4] = SIDEWALK, 255
    for folder, image in (("images", np.zeros((40, 40, 3), np.uint8)), ("labels/sem_seg/masks", mask)):
        (tmp_path / "street" / folder).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "street" / folder / "a.png"), image)
    return tmp_path / "street"


@pytest.fixture
def trained(tmp_path):
    net = PerceptionNet(of_size("t", tasks=["drivable", "semantic"]))
    path = tmp_path / "net.safetensors"
    state = {"step": 1, "network": asdict(net.config), "config": asdict(TrainConfig())}
    checkpoint.save(path, {"average": net.state_dict()}, state)
    return path


def bias(path) -> torch.Tensor:
    return checkpoint.load(path)[0]["average"][BIAS]


def test_shares_are_those_of_the_labelled_pixels():
    shares = class_shares([np.array([[0, 1, 255], [1, 1, 255]], np.uint8), np.array([[3]], np.uint8)])
    assert shares[[0, 1, 3]].tolist() == [0.2, 0.6, 0.2]


def test_the_bias_moves_by_the_logarithm_of_the_shares(tmp_path, street, trained):
    shares = adjust(trained, tmp_path / "out.safetensors", [street], 0.5)
    assert shares["road"] == pytest.approx(0.75)
    moved = bias(tmp_path / "out.safetensors") - bias(trained)
    assert moved[SIDEWALK] - moved[ROAD] == pytest.approx(0.5 * np.log(3), abs=1e-5)
    assert moved[0] - moved[ROAD] == pytest.approx(0.5 * np.log(0.75 / LEAST), abs=1e-5)
    assert moved.mean() == pytest.approx(0, abs=1e-5)


def test_nothing_else_changes_and_the_state_says_so(tmp_path, street, trained):
    adjust(trained, tmp_path / "out.safetensors", [street], 0.5)
    before, (after, state) = checkpoint.load(trained)[0]["average"], checkpoint.load(tmp_path / "out.safetensors")
    assert state["adjusted"] == 0.5
    assert all(torch.equal(after["average"][name], value) for name, value in before.items() if name != BIAS)


def test_a_second_adjustment_is_refused(tmp_path, street, trained):
    adjust(trained, tmp_path / "out.safetensors", [street], 0.5)
    with pytest.raises(CheckpointError, match=r"adjusted by 0\.5 already"):
        adjust(tmp_path / "out.safetensors", tmp_path / "twice.safetensors", [street], 0.5)


@pytest.mark.parametrize("strength", [0.0, -1.0, 1.5])
def test_a_strength_out_of_range_is_refused(tmp_path, street, trained, strength):
    with pytest.raises(SettingsError, match="expected a number above 0 and at most 1"):
        adjust(trained, tmp_path / "out.safetensors", [street], strength)


def test_folders_without_semantic_maps_are_refused(tmp_path, street, trained):
    (street / "labels/sem_seg/masks/a.png").rename(street / "labels/sem_seg/masks/b.png")
    with pytest.raises(SettingsError, match="no semantic maps"):
        adjust(trained, tmp_path / "out.safetensors", [street], 0.5)


def test_the_command_names_the_shares(tmp_path, street, trained):
    out = tmp_path / "out.safetensors"
    found = CliRunner().invoke(app, ["adjust", str(trained), "--data", str(street), "-o", str(out)])
    assert found.exit_code == 0, found.output
    assert "75.0% of the labelled pixels: road" in found.output
    assert checkpoint.load(out)[1]["adjusted"] == 0.4


def logits(classes: int, ids: list[int]) -> torch.Tensor:
    """B C 1 W of which these classes are highest, by a little."""
    values = torch.zeros(1, classes, 1, len(ids))
    values[0, ids, 0, range(len(ids))] = 0.1
    return values


def test_what_the_semantic_map_calls_something_else_is_not_drivable():
    drivable = logits(3, [0, 1, 2, 1, 2]) * 100
    found = on_road(drivable, logits(len(SEMANTIC), [ROAD, ROAD, ROAD, SIDEWALK, 0]))
    assert found.argmax(1).flatten().tolist() == [0, 1, 2, 0, 0]


@pytest.mark.parametrize("tasks", [["drivable"], ["drivable", "semantic"]])
@pytest.mark.parametrize("wanted", [False, True])
def test_the_exported_area_is_cut_where_it_is_wanted_and_there_is_a_map(tasks, wanted):
    net = PerceptionNet(of_size("t", tasks=tasks)).eval()
    images = torch.randint(0, 255, (1, 64, 96, 3), dtype=torch.uint8)
    with torch.no_grad():
        raw, found = net(images), ExportGraph(net, (64, 96), on_road=wanted)(images)[0]
    cut = wanted and "semantic" in tasks
    assert torch.equal(found, (on_road(raw["drivable"], raw["semantic"]) if cut else raw["drivable"]).argmax(1).byte())
