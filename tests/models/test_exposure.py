"""Dark images are lifted, others stay; blocks with held batch norms train as one convolution."""

from __future__ import annotations

import copy
from dataclasses import asdict

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perception_models.compression.fp16 import to_fp16
from perception_models.export.export import ExportConfig, deployable, export, write_onnx
from perception_models.network import PerceptionNet, of_size
from perception_models.network.blocks import ConvBlock
from perception_models.network.efficientnet import convolution
from perception_models.network.export_graph import ExportGraph
from perception_models.network.exposure import Exposure, roots
from perception_models.training import checkpoint
from perception_models.training.config import TrainConfig
from perception_models.training.optimization.optimizer import hold_norms

WANTED = 0.25


def images(level: float, count: int = 1) -> Tensor:
    """B 3 48 64 float32 noise from 0 to twice this grey level."""
    return torch.rand(count, 3, 48, 64, generator=torch.Generator().manual_seed(3)) * 2 * level


def test_a_dark_image_gets_the_wanted_mean():
    lifted = Exposure(WANTED)(images(40.0))
    assert lifted[..., 16::8, ::8].mean() / 255 == pytest.approx(WANTED, abs=0.002)


@pytest.mark.parametrize("level", [75.0, 100.0, 127.0])
def test_an_image_that_is_not_dark_stays_as_it_is(level):
    assert torch.equal(Exposure(WANTED)(images(level)), images(level))


def test_the_darkest_images_are_replaced_by_their_roots():
    assert torch.allclose(Exposure(WANTED)(images(1.0)), roots(images(1.0)), atol=1e-4)


def test_black_white_and_order_are_kept_and_slopes_are_finite():
    ramp = torch.linspace(0, 255, 256).reshape(1, 1, 1, 256).expand(1, 3, 24, 256) * 1.0
    ramp[..., 8:, ::8] = 1.0  # what is measured is dark
    lifted = Exposure(WANTED)(ramp.requires_grad_())
    row = lifted[0, 0, 0]
    assert row[[0, 255]].tolist() == pytest.approx([0, 255], abs=1e-3)
    assert (row.diff() > 0).all()
    lifted.sum().backward()
    assert torch.isfinite(ramp.grad).all()


def test_each_image_of_a_batch_is_lifted_by_itself():
    dark, bright = images(15.0), images(90.0)
    together = Exposure(WANTED)(torch.cat([dark, bright]))
    assert torch.equal(together[1:], bright)
    assert torch.allclose(together[:1], Exposure(WANTED)(dark), atol=1e-4)


def test_a_bright_sky_does_not_hide_a_dark_street():
    scene = images(15.0)
    scene[..., :16, :] = 255.0
    assert torch.allclose(Exposure(WANTED)(scene)[..., 16:, :], Exposure(WANTED)(images(15.0))[..., 16:, :], atol=1e-3)


def test_networks_lift_images_only_where_it_is_configured():
    dark = torch.randint(0, 30, (1, 64, 96, 3), dtype=torch.uint8)
    plain, lifting = PerceptionNet(of_size("t")), PerceptionNet(of_size("t", exposure=WANTED))
    assert plain.scaled(dark).max() < 30 / 64
    assert lifting.scaled(dark).mean() > 2.5 * plain.scaled(dark).mean()


def test_the_exported_graph_lifts_images_as_the_network_does(tmp_path):
    net = PerceptionNet(of_size("t", tasks=["scene"], exposure=WANTED)).eval()
    state = {"step": 1, "network": asdict(net.config), "config": asdict(TrainConfig())}
    checkpoint.save(tmp_path / "net.safetensors", {"average": net.state_dict()}, state)
    export(tmp_path / "net.safetensors", tmp_path / "model", ExportConfig(height=64, width=96, license="test"))
    session = onnxruntime.InferenceSession(tmp_path / "model" / "model.onnx", providers=["CPUExecutionProvider"])
    for most in (30, 255):
        shown = torch.randint(0, most, (1, 64, 96, 3), dtype=torch.uint8)
        with torch.no_grad():
            wanted = net(shown)["weather"].softmax(-1)
        assert session.run(["weather"], {"images": shown.numpy()})[0] == pytest.approx(wanted.numpy(), abs=1e-4)


def test_in_half_precision_images_are_lifted_in_full_precision(tmp_path):
    net = PerceptionNet(of_size("t", tasks=["scene"], exposure=WANTED)).eval()
    write_onnx(ExportGraph(deployable(net), (64, 96)).eval(), tmp_path / "model.onnx", 18)
    half = to_fp16(onnx.load(tmp_path / "model.onnx"))
    first = next(index for index, node in enumerate(half.graph.node) if node.op_type == "Conv")
    lifting = [node.op_type for node in half.graph.node[:first]]
    assert "Sqrt" in lifting
    assert lifting.count("Cast") == 2, "the bytes to float, what is lifted to half"
    assert lifting[-1] == "Cast"


def trained(block: ConvBlock) -> ConvBlock:
    """The block with statistics of a training, in training mode with held batch norms."""
    torch.manual_seed(5)
    nn.init.uniform_(block.norm.weight, 0.5, 1.5)
    nn.init.normal_(block.norm.bias)
    block.norm.running_mean.normal_()
    block.norm.running_var.uniform_(0.5, 2)
    hold_norms(block.train())
    return block


def apart(block: ConvBlock, x: Tensor) -> Tensor:
    """The block one layer at a time."""
    y = F.conv2d(x, block.conv.weight, None, block.conv.stride, block.conv.padding, 1, block.conv.groups)
    return block[2](block.norm(y))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 8])
@pytest.mark.parametrize("learns", [True, False])
def test_a_block_with_held_batch_norms_has_the_outputs_and_gradients_of_its_layers(stride, groups, learns):
    block = trained(convolution(8, 8, 5, stride, groups=groups))
    block.conv.weight.requires_grad_(learns)
    other, x = copy.deepcopy(block), torch.randn(2, 8, 12, 18)
    mine, theirs = block(x.requires_grad_()), apart(other, y := x.detach().clone().requires_grad_())
    assert torch.allclose(mine, theirs, atol=1e-5)
    for result in (mine, theirs):
        result.square().sum().backward()
    assert torch.allclose(x.grad, y.grad, atol=1e-3)
    for p, q in zip(block.parameters(), other.parameters()):
        assert (p.grad is None) == (q.grad is None)
        assert p.grad is None or torch.allclose(p.grad, q.grad, rtol=1e-3, atol=1e-3)


def test_a_block_whose_statistics_learn_updates_them():
    block = trained(convolution(4, 4, 3)).train()
    before = block.norm.running_mean.clone()
    block(torch.randn(2, 4, 8, 8))
    assert not torch.equal(block.norm.running_mean, before)
