from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from perception_models.config import SettingsError
from perception_models.losses import LossConfig
from perception_models.losses.balancing import BalanceConfig, Balancer
from perception_models.network import PerceptionNet, of_size
from perception_models.training.build import TrainingModule
from perception_models.training.config import ImitateConfig
from perception_models.training.distill.imitation import Imitation, imitation_loss


def detector(path: Path, side: int = 32) -> Path:
    """An ONNX network of fixed input size with maps "fine" (5 channels, stride 8) and "coarse" (3, stride 16)."""
    generator = np.random.default_rng(0)
    nodes, weights = [], []
    for name, source, shape, stride in (("fine", "images", (5, 3, 8, 8), 8), ("coarse", "fine", (3, 5, 2, 2), 2)):
        weights.append(numpy_helper.from_array(generator.normal(size=shape).astype(np.float32) / 255, f"{name}_weight"))
        nodes.append(helper.make_node("Conv", [source, f"{name}_weight"], [name], strides=[stride, stride]))
    inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, side, side])]
    outputs = [helper.make_tensor_value_info("coarse", TensorProto.FLOAT, [1, 3, side // 16, side // 16])]
    model = helper.make_model(
        helper.make_graph(nodes, "detector", inputs, outputs, weights),
        opset_imports=[helper.make_opsetid("", 13)], ir_version=8,
    )  # fmt: skip
    onnx.save(model, str(path))
    return path


@pytest.fixture
def imitation(tmp_path) -> tuple[Imitation, PerceptionNet]:
    torch.manual_seed(0)
    net = PerceptionNet(of_size("t"))
    config = ImitateConfig(str(detector(tmp_path / "detector.onnx")), ["fine", "coarse"])
    return Imitation(config, net), net


def test_maps_of_images_of_any_size_are_sorted_by_stride(imitation):
    maps = imitation[0].predict(torch.full((2, 64, 96, 3), 100, dtype=torch.uint8))
    assert {stride: tuple(each.shape) for stride, each in maps.maps.items()} == {8: (2, 5, 8, 12), 16: (2, 3, 4, 6)}


@pytest.mark.parametrize("backbone", ["residual", "efficientnet_lite0"])
def test_looking_at_the_student_leaves_it_as_it_is(tmp_path, backbone: str):
    net = PerceptionNet(of_size("t", backbone=backbone))
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    Imitation(ImitateConfig(str(detector(tmp_path / "detector.onnx")), ["fine", "coarse"]), net)
    assert net.training
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_the_loss_is_zero_for_equal_features_and_weighs_what_stands_out():
    wanted = torch.zeros(1, 2, 4, 4)
    wanted[0, :, 1, 1] = 3.0
    assert imitation_loss(wanted, wanted) == 0
    missed, invented = torch.zeros_like(wanted), wanted.clone()
    invented[0, :, 2, 2] = 3.0
    assert imitation_loss(missed, wanted) > imitation_loss(invented, wanted)


def test_imitating_moves_the_pyramid_towards_the_maps(imitation, drawn_batch):
    module, net = imitation
    training = TrainingModule(net, Balancer(BalanceConfig()), LossConfig(), imitation=module)
    optimizer = torch.optim.Adam(training.parameters(), 3e-3)
    losses = []
    for _ in range(12):
        losses.append(training.losses(drawn_batch)["distill"])
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.8 * losses[1]
    names = {name for name in training.state_dict() if name.startswith("imitation.")}
    assert {name.split(".")[1] for name in names} == {"adapters", "scales"}


@pytest.mark.parametrize(
    ("network", "maps", "text"),
    [
        ("missing.onnx", ["fine"], "does not exist"),
        ("detector.onnx", [], "none given"),
        ("detector.onnx", ["fine", "finest"], "finest"),
    ],
)
def test_wrong_settings_are_named(tmp_path, network, maps, text):
    detector(tmp_path / "detector.onnx")
    with pytest.raises(SettingsError, match=text):
        Imitation(ImitateConfig(str(tmp_path / network), maps), PerceptionNet(of_size("t")))
