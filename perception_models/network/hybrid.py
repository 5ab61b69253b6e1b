"""Own layers up to stride 8, EfficientNet-Lite0's deep ones after them: ImageNet features at the time of our own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from torch import Tensor, nn

from perception_models.network.blocks import ConvBlock, Stage
from perception_models.network.config import NetworkConfig
from perception_models.network.efficientnet import (
    EfficientNetLite0,
    InvertedResidual,
    convolution,
    copy_blocks,
    keep_statistics,
    read_weights,
)

CHANNELS = (80, 112, 192)  # of the last groups of EfficientNet-Lite0, at strides 16, 16 and 32
FEWEST, MOST = (0, 1, 1), (2, 3, 4)  # inverted residuals of each group


class HybridLite0(nn.Module):
    """Images B 3 H W, BGR in units of 64, to feature maps of `config.widths` channels at strides 4, 8, 16, 32.

    The high resolutions take most of the time and need little knowledge of the world: they are those of `Backbone`. A
    convolution of stride 2 stands in for the first group of EfficientNet-Lite0 at stride 16; of each group the first
    `config.lite_blocks` residual blocks are kept. Convolutions of one pixel lead to the channels that the neck expects.
    """

    def __init__(self, config: NetworkConfig):
        super().__init__()
        _check(config.lite_blocks)
        c2, c3, c4, c5 = config.widths
        self.stem = ConvBlock(3, config.stem, stride=2)
        middle = nn.Sequential(
            convolution(c3, CHANNELS[0], 3, 2, linear=True),
            _blocks(CHANNELS[0], CHANNELS[0], 3, 1, config.lite_blocks[0]),
            _blocks(CHANNELS[0], CHANNELS[1], 5, 1, config.lite_blocks[1]),
        )
        deep = _blocks(CHANNELS[1], CHANNELS[2], 5, 2, config.lite_blocks[2])
        shallow = Stage(config.stem, c2, config.depths[0]), Stage(c2, c3, config.depths[1])
        self.stages = nn.ModuleList([*shallow, middle, deep])
        self.outputs = nn.ModuleList([ConvBlock(CHANNELS[1], c4, 1), ConvBlock(CHANNELS[2], c5, 1)])

    def forward(self, x: Tensor) -> list[Tensor]:
        return self.maps_and_groups(x)[0]

    def maps_and_groups(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The feature maps, and what stands in for EfficientNet-Lite0's groups: 80, 112 and 192 channels."""
        c2, c3 = self.shallow_maps(x)
        entry, first, second = cast(nn.Sequential, self.stages[2])
        groups = [start := first(entry(c3)), second(start)]
        groups.append(self.stages[3](groups[1]))
        return [c2, c3, self.outputs[0](groups[1]), self.outputs[1](groups[2])], groups

    def shallow_maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The feature maps at strides 4 and 8."""
        c2 = self.stages[0](self.stem(x))
        return c2, self.stages[1](c2)

    @property
    def entry(self) -> ConvBlock:
        """The convolution from stride 8 to the ImageNet layers."""
        return cast(ConvBlock, cast(nn.Sequential, self.stages[2])[0])

    def train(self, mode: bool = True) -> HybridLite0:
        super().train(mode)
        for block in self.modules():
            if isinstance(block, InvertedResidual):
                keep_statistics(block)
        return self


def _check(blocks: Sequence[int]) -> None:
    if len(blocks) != 3 or any(not low <= count <= high for low, count, high in zip(FEWEST, blocks, MOST)):
        raise ValueError(f"network.lite_blocks={blocks}: expected three numbers of 0 to 2, 1 to 3 and 1 to 4")


def _blocks(inputs: int, outputs: int, kernel: int, stride: int, count: int) -> nn.Sequential:
    first = [InvertedResidual(inputs, outputs, kernel, stride, 6)] if count else []
    return nn.Sequential(*first, *(InvertedResidual(outputs, outputs, kernel, 1, 6) for _ in range(count - 1)))


def lite0_entry(backbone: EfficientNetLite0, x: Tensor) -> Tensor:
    """What `HybridLite0.entry` stands in for: the first block of 80 channels."""
    first = cast(nn.Sequential, backbone.stages[2])[0]
    map: Tensor = cast(nn.Sequential, first)[0](backbone.stages[1](backbone.stages[0](backbone.stem(x))))
    return map


def lite0_groups(backbone: EfficientNetLite0, x: Tensor) -> list[Tensor]:
    """What the groups of the whole EfficientNet-Lite0 give for images B 3 H W: 80, 112 and 192 channels."""
    x = backbone.stages[1](backbone.stages[0](backbone.stem(x)))
    maps = []
    for group in (*cast(nn.Sequential, backbone.stages[2]), backbone.stages[3]):
        maps.append(x := group(x))
    return maps


def load_imagenet_blocks(backbone: HybridLite0, path: Path) -> None:
    """Copy the ImageNet weights of `path` into the inverted residuals; the rest of the backbone keeps its weights."""
    copy_blocks(_numbered(backbone), read_weights(path))


def _numbered(backbone: HybridLite0) -> Sequence[tuple[int, InvertedResidual]]:
    """Each inverted residual with its number in EfficientNet-Lite0."""
    _, first, second = cast(nn.Sequential, backbone.stages[2])
    # Block 5 opens the group of 80 channels: the convolution stands in for it.
    groups = ((6, first), (8, second), (11, backbone.stages[3]))
    return [
        (start + i, cast(InvertedResidual, block))
        for start, group in groups
        for i, block in enumerate(group.children())
    ]
