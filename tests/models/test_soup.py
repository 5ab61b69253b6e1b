"""Model soups: the mean of checkpoints by hand, and checkpoints that cannot be averaged."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch
from typer.testing import CliRunner

from perception_models.cli import app
from perception_models.compression.soup import soup
from perception_models.config import SettingsError
from perception_models.export.model_card import _training
from perception_models.network import PerceptionNet, of_size
from perception_models.training import checkpoint
from perception_models.training.checkpoint import CheckpointError


def saved(path, seed: int, **changes):
    torch.manual_seed(seed)
    net = PerceptionNet(of_size("t", **changes))
    checkpoint.save(path, {"average": net.state_dict()}, {"network": asdict(net.config), "step": seed})
    return path


@pytest.fixture
def pair(tmp_path):
    return [saved(tmp_path / f"{name}.safetensors", seed) for seed, name in enumerate("ab")]


@pytest.mark.parametrize(("weights", "mean"), [(None, (0.5, 0.5)), ([1, 3], (0.25, 0.75))])
def test_each_weight_is_the_mean(pair, tmp_path, weights, mean):
    assert soup(pair, tmp_path / "soup.safetensors", weights) == pytest.approx(mean)
    net, state = checkpoint.load_network(tmp_path / "soup.safetensors")
    a, b = (checkpoint.load_network(path)[0].state_dict() for path in pair)
    for name, value in net.state_dict().items():
        expected = mean[0] * a[name] + mean[1] * b[name] if value.is_floating_point() else b[name]
        torch.testing.assert_close(value, expected)
    assert state["step"] == 1
    assert [part["checkpoint"] for part in state["soup"]] == ["a", "b"]


def test_the_model_card_lists_the_averaged_checkpoints(pair, tmp_path):
    soup(pair, tmp_path / "soup.safetensors", [1, 3])
    state = checkpoint.load(tmp_path / "soup.safetensors")[1]
    assert _training(state | {"config": {}}).endswith("weights averaged from 25 % `a`, 75 % `b`")


@pytest.mark.parametrize("strengths", [(None, 0.4), (0.3, 0.4)])
def test_adjusted_checkpoints_are_not_averaged_with_others(pair, tmp_path, strengths):
    for path, strength in zip(pair, strengths):
        parts, state = checkpoint.load(path)
        checkpoint.save(path, parts, state | ({"adjusted": strength} if strength else {}))
    with pytest.raises(CheckpointError, match="before `perception-models adjust`"):
        soup(pair, tmp_path / "soup.safetensors")
    assert not (tmp_path / "soup.safetensors").exists()
    for path in pair:
        checkpoint.save(path, checkpoint.load(path)[0], checkpoint.load(path)[1] | {"adjusted": 0.4})
    assert soup(pair, tmp_path / "soup.safetensors") == [0.5, 0.5]


def test_a_soup_of_one_and_the_same_is_itself(pair, tmp_path):
    soup([pair[0], pair[0], pair[0]], tmp_path / "soup.safetensors")
    for one, other in zip(
        *(checkpoint.load(p)[0]["average"].values() for p in (pair[0], tmp_path / "soup.safetensors"))
    ):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=0)


def test_checkpoints_that_cannot_be_averaged_are_rejected(pair, tmp_path):
    other = saved(tmp_path / "c.safetensors", 2, neck=32)
    with pytest.raises(CheckpointError, match=r"c\.safetensors and .*a\.safetensors are different networks"):
        soup([pair[0], other], tmp_path / "soup.safetensors")
    for weights in ([1.0], [1.0, 0.0], [1.0, -2.0]):
        with pytest.raises(SettingsError, match="give 2 positive weights for 2 checkpoints"):
            soup(pair, tmp_path / "soup.safetensors", weights)
    with pytest.raises(SettingsError, match="at least two"):
        soup(pair[:1], tmp_path / "soup.safetensors")
    assert not (tmp_path / "soup.safetensors").exists()
    for path in pair:
        checkpoint.save(path, checkpoint.load(path)[0], checkpoint.load(path)[1] | {"adjusted": 0.4})
    assert soup(pair, tmp_path / "soup.safetensors") == [0.5, 0.5]


def test_the_command(pair, tmp_path):
    words = ["soup", *map(str, pair), "-o", str(tmp_path / "s.safetensors"), "--share", "1", "--share", "4"]
    shown = CliRunner().invoke(app, words)
    assert (shown.exit_code, "0.80 of" in shown.output) == (0, True), shown.output
    assert (tmp_path / "s.safetensors").is_file()
