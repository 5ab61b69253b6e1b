"""Pruning by reconstruction: channels that others can replace go, and the feature maps stay."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch

from perception_models.compression.prune import prune, prune_blocks
from perception_models.compression.reconstruct import chosen, thinned
from perception_models.config import SettingsError, load_settings
from perception_models.network import PerceptionNet, of_size
from perception_models.network.efficientnet import EfficientNetLite0, published_channels
from perception_models.training import checkpoint
from perception_models.training.build import build_network
from perception_models.training.config import StageConfig, TrainConfig, TransferConfig

SIZE = (64, 96)


def repeat_channels(net: PerceptionNet) -> None:
    """Every second channel inside a block becomes a copy of its neighbour; the first block's are the stem's."""
    for layer in (net.backbone.stem, *(layer for block in net.backbone.blocks for layer in block.body[:-1])):
        for values in (layer.conv.weight, layer.norm.weight, layer.norm.bias):
            values.data[1::2] = values.data[::2]


@pytest.fixture(scope="module")
def images() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(16, 3, 8, 12, generator=generator) * 255
    smooth = torch.nn.functional.interpolate(coarse, SIZE, mode="bilinear")
    return list(smooth.permute(0, 2, 3, 1).to(torch.uint8).split(8))


@pytest.fixture(scope="module")
def net() -> PerceptionNet:
    torch.manual_seed(0)
    made = PerceptionNet(of_size("t", backbone="efficientnet_lite0", deepest_blocks=1)).eval()
    for layer in made.backbone.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)
    repeat_channels(made)
    return made


def share_lost(net: PerceptionNet, made: PerceptionNet, images: list[torch.Tensor]) -> list[float]:
    """Of the variance of each feature map."""
    with torch.no_grad():
        pairs = zip(*(each.backbone(images[0].permute(0, 3, 1, 2) / 64) for each in (net, made)))
        return [float((a - b).pow(2).mean() / a.var()) for a, b in pairs]


@pytest.fixture(scope="module")
def made(net, images) -> PerceptionNet:
    return thinned(net, images, 1e-3)


def test_copies_are_found_in_every_block_and_the_maps_stay(net, made, images):
    published = published_channels(1)
    assert all(now <= before / 2 for now, before in zip(made.config.expanded, published))
    assert all(count % 8 == 0 for count in made.config.expanded)
    assert max(share_lost(net, made, images)) < 0.02
    assert net.backbone.blocks[1].body[0].conv.out_channels == published[1]


def test_channels_are_chosen_by_what_the_others_cannot_make_up_for():
    """Twenty-four channels: sixteen independent ones, of which the targets need eight, and copies of those eight."""
    generator = torch.Generator().manual_seed(2)
    needed, noise = torch.randn(2, 4000, 8, generator=generator).double()
    features = torch.cat([noise, needed, needed + 1e-3 * noise, torch.ones(4000, 1)], 1)
    target = needed @ torch.randn(8, 5, generator=generator).double()
    gram, cross = features.T @ features / 4000, features.T @ target / 4000
    kept = chosen(gram + 1e-9 * torch.eye(25), cross, 1e-3)
    assert len(kept) == 8
    assert sorted(index % 8 for index in kept.tolist()) == list(range(8))
    assert min(kept.tolist()) >= 8
    assert len(chosen(gram + 1e-9 * torch.eye(25), cross, 1e-9)) > 8


def test_the_checkpoint_loads_and_starts_a_training(net, made, images, tmp_path, monkeypatch):
    monkeypatch.setattr("perception_models.compression.prune.thinned", lambda *_: made)
    stage = StageConfig(height=SIZE[0], width=SIZE[1])
    config = TrainConfig(network=asdict(net.config) | {"size": "t"}, stages=[stage])
    state = {"network": asdict(net.config), "config": asdict(config)}
    checkpoint.save(tmp_path / "full.safetensors", {"average": net.state_dict()}, state)
    written = prune_blocks(tmp_path / "full.safetensors", tmp_path / "out", images, 0.01)
    start = build_network(load_settings(TrainConfig, written.config))
    pruned, _ = checkpoint.load_network(written.checkpoint)
    assert all(torch.equal(value, start.state_dict()[name]) for name, value in pruned.state_dict().items())
    assert written.macs[1] < 0.9 * written.macs[0]
    with pytest.raises(SettingsError, match="inside its blocks"):
        prune(tmp_path / "full.safetensors", tmp_path / "out")


@pytest.mark.parametrize("lost", [0.0, 1.0, -1.0])
def test_impossible_shares_are_refused(net, images, lost):
    with pytest.raises(SettingsError, match="above 0 and below 1"):
        thinned(net, images, lost)


def test_wrong_counts_are_refused():
    with pytest.raises(ValueError, match=r"expected 15 counts"):
        EfficientNetLite0(4, [8, 8])
    network = {"size": "t", "backbone": "efficientnet_lite0", "expanded": [8] * 15}
    with pytest.raises(SettingsError, match="published channels"):
        build_network(TrainConfig(network=network, transfer=TransferConfig(imagenet=True)))
