"""Pruning: dead channels are found and cut, and the result is an ordinary network."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
import torch

from perception_models.compression.prune import cut, labelled_batches, prune, smaller
from perception_models.config import SettingsError, load_settings
from perception_models.losses import LossConfig, task_losses
from perception_models.network import NetworkConfig, PerceptionNet, of_size
from perception_models.network.blocks import ConvBlock
from perception_models.training import checkpoint
from perception_models.training.build import build_network
from perception_models.training.config import StageConfig, TrainConfig

SIZE = (64, 128)
TWICE = dict(stem=32, widths=[32, 32, 64, 64], neck=32, fine=32)


def settled(config: NetworkConfig, images: torch.Tensor) -> PerceptionNet:
    """Random weights with batch norm statistics of the images."""
    torch.manual_seed(0)
    net = PerceptionNet(config).train()
    with torch.no_grad():
        for _ in range(3):
            net(images)
    return net.eval()


def padded(small: PerceptionNet, config: NetworkConfig) -> PerceptionNet:
    """The same function with twice the channels: every second one is dead."""
    net, tensors = PerceptionNet(config), small.state_dict()
    for name, target in net.state_dict().items():
        value = tensors[name]
        target.fill_(1.0 if name.endswith("running_var") else 0.0)
        live = tuple(slice(None, None, big // now) for big, now in zip(target.shape, value.shape))
        target[live] = value
    return net.eval()


@pytest.fixture(scope="module")
def small(drawn_targets) -> PerceptionNet:
    return settled(of_size("t"), drawn_targets["images"])


@pytest.mark.parametrize("ranking", ["magnitude", "taylor"])
def test_dead_channels_are_found_everywhere_and_the_function_stays(ranking, small, drawn_batch):
    big = padded(small, replace(small.config, **TWICE))
    images = drawn_batch["images"]
    with torch.no_grad():
        wanted = small(images)
        for name, value in big(images).items():
            torch.testing.assert_close(value, wanted[name], rtol=1e-4, atol=1e-4)
    made = cut(big, small.config, SIZE, drawn_batch if ranking == "taylor" else None)
    with torch.no_grad():
        for name, value in made(images).items():
            torch.testing.assert_close(value, wanted[name], rtol=1e-4, atol=1e-4)
    if ranking == "magnitude":  # Taylor may keep another of the channels that never fire on this batch
        assert all(torch.equal(made.state_dict()[name], value) for name, value in small.state_dict().items())


def test_channels_the_loss_needs_survive_larger_useless_weights(small, drawn_batch):
    """A batch norm may multiply large weights by zero: that misleads ranking by magnitude, not by Taylor."""
    net = padded(small, replace(small.config, **TWICE))
    for block in net.modules():
        if isinstance(block, ConvBlock):
            torch.nn.init.constant_(block[0].weight[1::2], 10.0)
    before = cost(net, drawn_batch)
    assert cost(cut(net, small.config, SIZE, drawn_batch), drawn_batch) == pytest.approx(before, rel=1e-4)
    assert cost(cut(net, small.config, SIZE), drawn_batch) != pytest.approx(before, rel=1e-2)


@torch.no_grad()
def cost(net: PerceptionNet, batch: dict) -> float:
    return float(sum(task_losses(net(batch["images"]), batch, LossConfig(), net.config.strides).values()))


@pytest.fixture(scope="module")
def trained(small, tmp_path_factory):
    """A checkpoint of a network that has channels to spare."""
    path = tmp_path_factory.mktemp("run") / "best.safetensors"
    net = padded(small, replace(small.config, **TWICE))
    stage = StageConfig(height=SIZE[0], width=SIZE[1])
    config = TrainConfig(network=asdict(net.config) | {"size": "t"}, stages=[stage])
    checkpoint.save(path, {"average": net.state_dict()}, {"network": asdict(net.config), "config": asdict(config)})
    return path


def test_a_pruned_checkpoint_loads_reports_its_cost_and_starts_a_training(trained, small, tmp_path):
    made = prune(trained, tmp_path / "out", keep=0.5)
    assert asdict(made.network) == asdict(small.config)
    net, _ = checkpoint.load_network(made.checkpoint)
    assert made.parameters[1] == sum(p.numel() for p in net.parameters()) < 0.35 * made.parameters[0]
    assert made.macs[1] < 0.35 * made.macs[0]
    start = build_network(load_settings(TrainConfig, made.config))
    assert all(torch.equal(v, start.state_dict()[n]) for n, v in net.state_dict().items())


def test_the_folder_of_a_run_means_its_best_checkpoint(trained, drawn_folder):
    batches = labelled_batches(trained.parent, [drawn_folder], 3, 2)
    assert [batch["images"].shape for batch in batches] == [(2, *SIZE, 3), (1, *SIZE, 3)]


def test_pruning_leaves_the_original_network_unchanged(small, drawn_batch):
    before = {name: value.clone() for name, value in small.state_dict().items()}
    cut(small, replace(small.config, neck=8), SIZE, drawn_batch)
    assert all(torch.equal(value, before[name]) for name, value in small.state_dict().items())
    assert all(p.grad is None for p in small.parameters())


def test_channel_counts_are_rounded_to_multiples_of_16():
    n = smaller(of_size("n"), 0.75)
    assert (n.stem, n.widths, n.neck, n.fine) == (16, [32, 48, 64, 96], 48, 32)
    assert smaller(of_size("s"), 1.0) == of_size("s")
    own = smaller(of_size("n"), 1.0, ["neck=48", "widths=[16, 32, 64, 96]"])
    assert (own.neck, own.widths, own.stem) == (48, [16, 32, 64, 96], 16)


@pytest.mark.parametrize(
    ("keep", "words", "message"),
    [
        (0.0, [], "above 0"),
        (0.5, ["neck=80"], "neck: pruning only removes channels"),
        (0.5, ["widths=[16, 16]"], "widths: pruning only removes"),
        (0.5, ["depths=[1, 1, 1, 1]"], "depths: pruning changes"),
        (0.5, ["neck=wide"], "wide"),
    ],
)
def test_settings_that_pruning_cannot_reach_are_rejected(keep, words, message):
    with pytest.raises(SettingsError, match=message):
        smaller(of_size("n"), keep, words)


def test_networks_with_attention_are_rejected():
    net = PerceptionNet(of_size("t", attention=True))
    with pytest.raises(SettingsError, match="attention"):
        cut(net, replace(net.config, neck=8), SIZE)
